"""The sources of settings: the package's conf/, and general recipes and budgets.

A task that has no recipe for a model takes the model's general one, ``recipe/<model>/general``, and a task without a
budget takes ``budget/general``. Hydra asks the sources on its search path in turn; `General` is the last of them.
"""

import re
from pathlib import Path

from hydra._internal.config_search_path_impl import ConfigSearchPathImpl
from hydra.core.config_search_path import ConfigSearchPath, SearchPathElement
from hydra.core.object_type import ObjectType
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigResult, ConfigSource
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import OmegaConf

import ntm_lab

_PACKAGE = Path(ntm_lab.__file__).parent
CONF = next(conf for conf in (_PACKAGE / "conf", _PACKAGE.parents[1] / "conf") if conf.is_dir())
"""The settings of the package: in a wheel they are a part of it, in a clone they are at its top."""

OF_TASK = re.compile(r"(?P<folder>budget|recipe/[^/]+)/(?P<task>.+)")
GENERAL = "general"


class General(ConfigSource):
    """Replaces a missing recipe or budget by the general one, and notes the task under ``general.<group>``."""

    @staticmethod
    def scheme() -> str:
        return GENERAL

    def available(self) -> bool:
        return True

    def is_group(self, config_path: str) -> bool:
        return False

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        return []

    def is_config(self, config_path: str) -> bool:
        found = OF_TASK.fullmatch(config_path)
        return found is not None and found["task"] != GENERAL

    def load_config(self, config_path: str) -> ConfigResult:
        found = OF_TASK.fullmatch(config_path)
        assert found is not None
        group = found["folder"].split("/")[0]
        config = {"defaults": [f"/{found['folder']}/{GENERAL}"], GENERAL: {group: found["task"]}}
        return ConfigResult(self.provider, self.full_path(), OmegaConf.create(config), {"package": "_global_"})


class GeneralLast(list[SearchPathElement]):
    """A search path on which `General` stays behind everybody's own files, those of ``hydra.searchpath`` too."""

    def append(self, element: SearchPathElement) -> None:
        providers = [one.provider for one in self]
        if GENERAL in providers and element.provider != "schema":  # Hydra's own schemas come last of all
            self.insert(providers.index(GENERAL), element)
        else:
            super().append(element)


class SearchGeneral(SearchPathPlugin):
    """Adds `General` to the search path."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        assert isinstance(search_path, ConfigSearchPathImpl)
        general = SearchPathElement(GENERAL, f"{General.scheme()}://")
        search_path.config_search_path = GeneralLast([*search_path.get_path(), general])


Plugins.instance().register(General)
Plugins.instance().register(SearchGeneral)
