"""Asks whether the person will come. `run` is the whole call; when it returns, the call is hung up."""

import wit_world
from componentize_py_types import Err
from wit_world.imports import lead, line, outcome, settings, types


class WitWorld(wit_world.WitWorld):
    def run(self) -> None:
        try:
            talk()
        except Err as error:
            match error.value:
                # Somebody who hangs up is an everyday end.
                case types.LineError_HungUp() | types.LineError_Ended():
                    pass
                # What is raised from here is told to you; the caller hears the fallback.
                case types.LineError_Refused(why):
                    raise Err(why)
                case _:
                    raise


def talk() -> None:
    repeats = int(settings.get("repeats") or 1)
    prompt = clips("hello", "menu")
    for _ in range(repeats + 1):
        match ask(prompt):
            case "1":
                outcome.set_result("Придёт")
                lead.set_field("visit", "yes")
                return bye("thanks", "goodbye")
            case "2":
                outcome.set_result("Не придёт")
                return bye("sorry", "goodbye")
        # No key, or one that means nothing.
        prompt = clips("again")
    bye("goodbye")


def ask(prompt: list[types.Part]) -> str | None:
    """Plays the prompt and waits 8 s for one key; `None`: there was none."""
    answer = line.ask(
        line.Question(
            prompt=prompt,
            keys=line.KeysWanted(max=1, finish=None, first=8000, between=0),
            speech=None,
            key_interrupts=True,
            voice_interrupts=False,
        )
    )
    return answer.value if isinstance(answer, line.Answer_Keys) else None


def clips(*names: str) -> list[types.Part]:
    return [types.Part_Clip(name) for name in names]


def bye(*names: str) -> None:
    """The last words."""
    line.play(clips(*names))
    line.hangup()
