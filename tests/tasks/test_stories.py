"""The reader of bAbI: what it makes of a file, and what it refuses in one line."""

import pytest
import torch

from ntm_lab.tasks import stories as reader
from ntm_lab.tasks.stories import LONGEST, NUMBERS, WORDS, Story, laid_out, read

TEXT = """1 Mary got the milk there.
2 What is Mary carrying? \tmilk\t1
3 Mary took the apple.
4 What is Mary carrying? \tmilk,apple\t1 3
1 John is north of Mary.
2 Is John north of Mary?\tyes\t1
"""


@pytest.fixture(autouse=True)
def afresh():
    reader.read.cache_clear()


@pytest.fixture
def file(tmp_path):
    """The training file of task 8; the rest of its folder is not there."""
    path = tmp_path / "en-10k" / "qa8_lists-sets_train.txt"
    path.parent.mkdir()
    path.write_text(TEXT)
    return path


def words(*numbers):
    return " ".join(WORDS[number - 1] for number in numbers)


def test_words_and_signs_are_numbered():
    assert len(set(WORDS)) == len(WORDS) == 159
    assert words(NUMBERS["-"], NUMBERS["kitchen"]) == "- kitchen"


def test_a_file_is_read_story_by_story(file):
    first, second = read(file.parents[1], "en-10k", 8, "train", True)
    said = [words(*sentence) for sentence in first.sentences]
    assert said[:2] == ["mary got the milk there .", "what is mary carrying ?"]
    assert [words(*answer) for answer in first.answers] == ["", "milk", "", "milk apple"]
    assert [words(*answer) for answer in second.answers] == ["", "yes"]


def test_a_step_is_a_word_or_a_sentence(file):
    stories = read(file.parents[1], "en-10k", 8, "train", True)
    by_word, by_sentence = laid_out(stories, False), laid_out(stories, True)
    said = words(*by_word.words[:14].flatten().tolist())
    assert said == "mary got the milk there . what is mary carrying ? - mary took"
    assert by_word.starts.tolist() == [0, 12 + 5 + 7]
    assert by_word.ends.tolist() == [[12, 24], [6 + 7, 6 + 7]]  # of the second story the only question twice
    assert by_word.answers.nonzero().flatten().tolist() == [11, 22, 23, 36]
    assert by_sentence.words.shape == (5 + 2, LONGEST)
    assert words(*filter(None, by_sentence.words[3].tolist())) == "what is mary carrying ? -"
    assert words(*filter(None, by_sentence.words[4].tolist())) == "-"
    assert [words(answer) for answer in by_sentence.answers.tolist() if answer] == ["milk", "milk", "apple", "yes"]
    assert (by_sentence.starts.tolist(), by_sentence.ends.tolist()) == ([0, 5], [[2, 5], [2, 2]])


@pytest.mark.parametrize("by_sentence", [False, True], ids=["words", "sentences"])
def test_a_pause_comes_between_a_question_and_its_answer(file, by_sentence):
    stories = read(file.parents[1], "en-10k", 8, "train", True)
    at_once, later = laid_out(stories, by_sentence), laid_out(stories, by_sentence, pause=2)
    asked = " ".join(words(*filter(None, step.tolist())) for step in later.words[: int(later.ends[0, 0])])
    assert asked == "mary got the milk there . what is mary carrying ? ? ? -"
    assert (later.ends - at_once.ends).tolist() == [[2, 4], [2, 2]]  # two more of every question so far
    assert later.answers[later.answers > 0].tolist() == at_once.answers[at_once.answers > 0].tolist()
    assert later.answers.nonzero()[0] == later.ends[0, 0] - 1


def test_the_same_words_are_the_same_story():
    one, other = Story([(1, 2)], [(3,)]), Story([(1, 2)], [(4,)])
    assert one.key == Story([(1, 2)], [(3,)]).key != other.key


def test_the_folder_may_be_one_below(file, tmp_path):
    above = tmp_path / "tasks_1-20_v1-2"
    above.mkdir()
    file.parent.rename(above / "en-10k")
    assert len(read(above, "en-10k", 8, "train", True)) == len(read(tmp_path, "en-10k", 8, "train", True)) == 2


@pytest.mark.parametrize(
    "text, message",
    [
        pytest.param("", "has 0 questions: there must be some", id="empty"),
        pytest.param(TEXT[: TEXT.index("\t1 3")], "line 4: must be a statement, or a", id="cut_in_a_line"),
        pytest.param(TEXT[: TEXT.index("2 Is")], "line 5: the story ends without a question", id="cut_in_a_story"),
        pytest.param(TEXT.replace("3 Mary", "7 Mary"), "line 3: begins with '7', must be 3", id="a_line_is_missing"),
        pytest.param(TEXT.replace("north", "nord"), "line 5: 'nord' is none of the words of bAbI", id="word"),
        pytest.param(TEXT.replace("milk there", "milk " * 13), "line 1: has 17 words, must", id="long"),
        pytest.param(TEXT.replace("Mary.", "Mär."), "cannot be read", id="not_ascii"),
        pytest.param("<html>", "line 1: begins with '<html>', must be 1", id="a_web_page"),
    ],
)
def test_a_damaged_file_is_named_in_one_line(text, message, file):
    file.write_text(text)
    with pytest.raises(ValueError, match=rf"^task\.root: {file}[^\n]*{message}[^\n]*$"):
        read(file.parents[1], "en-10k", 8, "train", True)


def test_a_file_with_fewer_questions_than_published_has_to_be_asked_for(file):
    with pytest.raises(ValueError, match=r"has 3 questions: the publishers' has 10,000; task\.partial=true reads it$"):
        read(file.parents[1], "en-10k", 8, "train", False)


def test_a_missing_file_is_named(file, tmp_path):
    with pytest.raises(ValueError, match=r"^task\.root: .*en-10k has no qa3_\*_train\.txt, the file of task 3$"):
        read(tmp_path, "en-10k", 3, "train", True)


@pytest.mark.parametrize("root", [None, "missing"])
def test_a_folder_that_is_not_babi(root, tmp_path):
    said = root and tmp_path / root
    with pytest.raises(ValueError, match=rf"^task\.root={said or 'null'}: must be a folder that holds en"):
        read(said, "en", 1, "train", False)


def test_bytes_hold_all_numbers():
    assert max(NUMBERS.values()) <= torch.iinfo(torch.uint8).max
