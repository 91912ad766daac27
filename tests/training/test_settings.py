from __future__ import annotations

import pytest

from training.fit import Settings


def test_settings_are_changed_by_name():
    changed = Settings().changed(["epochs=4", "network.dilations=[1, 2]", "mixture.zone_weight=2"])
    assert (changed.epochs, changed.network.dilations, changed.mixture.zone_weight) == (4, (1, 2), 2.0)
    assert Settings().changed([]) == Settings()


@pytest.mark.parametrize(
    "change", ["epoch=4", "network=1", "network.size=3", "a.b.c=1", "epochs", "epochs=", 'epochs="many"', "epochs=1.5"]
)
def test_what_is_no_setting_is_refused(change):
    with pytest.raises(ValueError, match=r"setting|wanted|not a number"):
        Settings().changed([change])
