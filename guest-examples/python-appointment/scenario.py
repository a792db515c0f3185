"""«Запись на приём»: the person confirms the appointment, cancels or moves it, wants to be called later or to talk to an
operator, or wants no more calls.

The same scenario stands beside this one in Rust, C and JavaScript; all four pass the conversations of
`scenarios/appointment`. What each branch says and sets is listed in that folder's README.
"""

import re

import wit_world
from componentize_py_types import Err
from wit_world.imports import host, lead, line, outcome, settings, sms, types


class WitWorld(wit_world.WitWorld):
    def run(self) -> None:
        """The whole talk. What `Err` carries is told to the scenario's author; the caller hears the fallback."""
        try:
            talk()
        except Err as error:
            match error.value:
                # Somebody who hangs up is an everyday end: the host says how far the talk came.
                case types.LineError_HungUp() | types.LineError_Ended():
                    pass
                case types.LineError_Refused(why):
                    raise Err(why)
                case _:
                    raise


CHOICES = {"1": "confirm", "2": "move", "3": "cancel", "4": "later", "0": "operator", "9": "stop"}

# The ways of saying each choice.
PHRASES = [
    line.Phrase("confirm", ["да", "подтверждаю", "приду", "конечно"]),
    line.Phrase("cancel", ["нет", "не приду", "не смогу", "отмените"]),
    line.Phrase("move", ["перенести", "перенесите", "другой день", "другое время"]),
    line.Phrase("later", ["перезвоните", "позвоните позже", "не сейчас", "неудобно говорить"]),
    line.Phrase("operator", ["оператор", "оператора", "с человеком"]),
    line.Phrase("stop", ["не звоните", "больше не звоните", "удалите мой номер"]),
]


def talk() -> None:
    host.log(host.Level.DEBUG, f"attempt {line.about().attempt}")
    menu = Menu()
    # Apart from the question: the «алло» of whoever picks up is no answer to it.
    play(greeting(host.now()))
    prompt = clips("reminder")
    date, time = digits_of("date"), digits_of("time")
    if date and time:
        prompt += [types.Part_Digits(date), *clips("at"), types.Part_Digits(time)]
    prompt += clips("menu")
    for _ in range(repeats() + 1):
        match menu.ask(prompt):
            case "confirm":
                return confirm()
            case "cancel":
                return cancel()
            case "move":
                return change()
            case "later":
                return later()
            case "operator":
                return operator()
            case "stop":
                return stop()
            case "silence":
                prompt = clips("again", "menu")
            case _:
                prompt = clips("wrong-key", "menu")
    bye("goodbye")


class Menu:
    def __init__(self) -> None:
        # Whether the host is still to be asked for speech.
        self.speech = True

    def ask(self, prompt: list[types.Part]) -> str:
        try:
            answer = line.ask(self.question(prompt))
        except Err as error:
            if not self.speech or not isinstance(error.value, types.LineError_Refused):
                raise
            answer = line.Answer_RecogniserBusy()
        if self.speech and isinstance(answer, line.Answer_RecogniserBusy):
            # No recogniser here, or none that is free: keys will do.
            self.speech = False
            answer = line.ask(self.question(prompt))
        match answer:
            case line.Answer_Keys(keys):
                return CHOICES.get(keys, "unclear")
            case line.Answer_Speech(heard):
                return heard.phrase or "unclear"
            case line.Answer_Silence():
                return "silence"
            case _:
                return "unclear"

    def question(self, prompt: list[types.Part]) -> line.Question:
        return line.Question(
            prompt=prompt,
            keys=line.KeysWanted(max=1, finish=None, first=8000, between=0),
            speech=line.SpeechWanted(phrases=PHRASES, wait=8000, longest=10000) if self.speech else None,
            key_interrupts=True,
            voice_interrupts=True,
        )


def confirm() -> None:
    # The result comes before the good words: it stands even if the person does not wait for them.
    outcome.set_result("Подтвердил")
    lead.set_field("confirmed", "yes")
    if settings.get("send-sms") != "yes":
        return bye("confirmed", "goodbye")
    try:
        sms.send(None, fill(settings.get("sms-text") or ""))
    except Err as error:
        match error.value:
            case sms.SmsError_NotConfigured():
                why = "нет шлюза"
            case sms.SmsError_Refused(words):
                why = words
            case _:
                why = "исчерпан лимит"
        lead.note(f"СМС не отправлено: {why}")
        return bye("confirmed", "goodbye")
    bye("confirmed", "sms-sent", "goodbye")


def cancel() -> None:
    outcome.set_result("Отменил")
    lead.set_field("confirmed", "no")
    bye("cancelled", "goodbye")


def later() -> None:
    outcome.set_result("Перезвонить")
    lead.note("Просил перезвонить позже")
    bye("we-will-call", "goodbye")


def change() -> None:
    """Asks for another day, as four digits and `#`. `*` begins anew."""
    outcome.set_result("Перенести")
    prompt = clips("which-day")
    for _ in range(repeats() + 1):
        answer = line.ask(
            line.Question(
                prompt=prompt,
                keys=line.KeysWanted(max=4, finish="#", first=10000, between=4000),
                speech=None,
                key_interrupts=True,
                voice_interrupts=False,
            )
        )
        if not isinstance(answer, line.Answer_Keys):
            prompt = clips("again", "which-day")
        elif day := day_and_month(answer.value):
            lead.set_field("new-date", day)
            lead.note(f"Просит перенести на {day}")
            return bye("moved", "goodbye")
        else:
            prompt = clips("which-day") if "*" in answer.value else clips("not-a-date", "which-day")
    lead.note("Просит перенести, день не назвал")
    bye("we-will-call", "goodbye")


def day_and_month(keys: str) -> str | None:
    """`DD.MM` if the keys are a day of a year."""
    if not re.fullmatch("[0-9]{4}", keys):
        return None
    day, month = keys[:2], keys[2:]
    longest = dict(enumerate([31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31], 1)).get(int(month), 0)
    return f"{day}.{month}" if 1 <= int(day) <= longest else None


def operator() -> None:
    play("connecting")
    options = line.TransferOptions(longest_wait=30000, music=None, call_back_project=None)
    try:
        match line.transfer(line.Destination_Operator(None), options):
            case line.TransferEnd_Talked(time):
                outcome.set_result("Говорил с оператором")
                lead.note(f"Говорил с оператором {time // 1000} с")
                return bye("goodbye")
            case line.TransferEnd_Busy():
                why = "занято"
            case line.TransferEnd_NoAnswer():
                why = "не ответил"
            case line.TransferEnd_Rejected():
                why = "отклонил"
            case line.TransferEnd_Nobody():
                why = "нет свободных"
            case line.TransferEnd_Failed(words):
                why = words
    except Err as error:
        if not isinstance(error.value, types.LineError_Refused):
            raise
        why = error.value.value
    outcome.set_result("Перезвонить")
    lead.note(f"Просил оператора: {why}")
    bye("we-will-call", "goodbye")


def stop() -> None:
    outcome.set_result("Не звонить")
    lead.block("Попросил больше не звонить")
    bye("removed", "goodbye")


def greeting(now: str) -> str:
    """The greeting for the time of day in `now`, as `2026-03-01T10:00:00+03:00[Europe/Moscow]`."""
    hour = int(now[11:13])
    if 5 <= hour < 12:
        return "good-morning"
    return "good-day" if 12 <= hour < 18 else "good-evening"


def digits_of(field: str) -> str:
    """The digits of a field of the card, to be read out one by one; empty without any."""
    return re.sub("[^0-9]", "", lead.field(field) or "")


def fill(text: str) -> str:
    """The text of the message with the card's fields in place of `{name}`, `{date}` and `{time}`."""
    for name in ("name", "date", "time"):
        text = text.replace(f"{{{name}}}", lead.field(name) or "")
    return text


def repeats() -> int:
    """The manifest's form lets only numbers through, and has a default."""
    return int(settings.get("repeats") or 2)


def clips(*names: str) -> list[types.Part]:
    return [types.Part_Clip(name) for name in names]


def play(*names: str) -> None:
    line.play(clips(*names))


def bye(*names: str) -> None:
    """The last words."""
    play(*names)
    line.hangup()
