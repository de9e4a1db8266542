"""An experiment written as a test of one's own: the fixtures come with the harness's pytest plugin."""

from harness import chaos


def test_a_full_volume_is_told_and_nobody_feels_it(environment, load):
    with environment.experiment(expect={"alerts": [{"alert": "DiskFilling", "receiver": "chat"}]}):
        chaos.fill_volume("inference", "models", percent=95)
        assert chaos.hold() == ["DiskFilling"]
        assert load.figures().error_ratio < 0.01
