"""What figures share: colours that everyone can tell apart."""

# Okabe and Ito 2008, "Color Universal Design", without their yellow, too light for a line.
BLUE, ORANGE, GREEN, VERMILION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
SKY, PURPLE, BLACK = "#56B4E9", "#CC79A7", "#000000"
