import asyncio

from messaging.smpp_connector.stalls import REFUSE_SECONDS, STALL_SECONDS, StallWatch


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_loop_that_goes_on_has_no_stall() -> None:
    clock = Clock()
    watch = StallWatch(clock)
    clock.now += STALL_SECONDS
    assert not watch.just_ended()


def test_a_stall_is_noticed_by_whoever_asks_first_and_lasts_for_what_has_piled_up() -> None:
    clock = Clock()
    watch = StallWatch(clock)
    clock.now += STALL_SECONDS + 0.1
    assert watch.just_ended()
    clock.now += REFUSE_SECONDS - 0.1
    assert watch.just_ended()
    clock.now += 0.2
    assert not watch.just_ended()


def test_a_stall_is_noticed_when_the_beat_runs_first() -> None:
    clock = Clock()

    async def scenario() -> bool:
        watch = StallWatch(clock)
        clock.now += 60
        watch.start()
        found = watch.just_ended()
        watch.stop()
        return found

    assert asyncio.run(scenario())
