// «Запись на приём»: the person confirms the appointment, cancels or moves it, wants to be called later or to talk to an
// operator, or wants no more calls.
//
// The same scenario stands beside this one in Rust, C and Python; all four pass the conversations of
// `scenarios/appointment`. What each branch says and sets is listed in that folder's README.

import * as host from "zvonar:scenario/host@0.1.0";
import * as lead from "zvonar:scenario/lead@0.1.0";
import * as line from "zvonar:scenario/line@0.1.0";
import * as outcome from "zvonar:scenario/outcome@0.1.0";
import * as settings from "zvonar:scenario/settings@0.1.0";
import * as sms from "zvonar:scenario/sms@0.1.0";

/** The whole talk. What is thrown from here is told to the scenario's author, and the caller hears the fallback. */
export function run() {
    try {
        talk();
    } catch (error) {
        // Somebody who hangs up is an everyday end: the host says how far the talk came.
        if (!["hung-up", "ended"].includes(error.payload?.tag)) {
            throw error.payload?.val ?? error;
        }
    }
}

const CHOICES = { 1: "confirm", 2: "move", 3: "cancel", 4: "later", 0: "operator", 9: "stop" };

/** The ways of saying each choice. */
const PHRASES = [
    { id: "confirm", anyOf: ["да", "подтверждаю", "приду", "конечно"] },
    { id: "cancel", anyOf: ["нет", "не приду", "не смогу", "отмените"] },
    { id: "move", anyOf: ["перенести", "перенесите", "другой день", "другое время"] },
    { id: "later", anyOf: ["перезвоните", "позвоните позже", "не сейчас", "неудобно говорить"] },
    { id: "operator", anyOf: ["оператор", "оператора", "с человеком"] },
    { id: "stop", anyOf: ["не звоните", "больше не звоните", "удалите мой номер"] },
];

function talk() {
    host.log("debug", `attempt ${line.about().attempt}`);
    // Apart from the question: the «алло» of whoever picks up is no answer to it.
    play(greeting(host.now()));
    let prompt = [clip("reminder")];
    const [date, time] = [digitsOf("date"), digitsOf("time")];
    if (date && time) {
        prompt.push({ tag: "digits", val: date }, clip("at"), { tag: "digits", val: time });
    }
    prompt.push(clip("menu"));
    for (let round = 0; round <= repeats(); round++) {
        switch (askMenu(prompt)) {
            case "confirm": return confirm();
            case "cancel": return cancel();
            case "move": return change();
            case "later": return later();
            case "operator": return operator();
            case "stop": return stop();
            case "silence": prompt = [clip("again"), clip("menu")]; break;
            default: prompt = [clip("wrong-key"), clip("menu")];
        }
    }
    bye("goodbye");
}

/** Whether the host is still to be asked for speech. */
let speech = true;

function askMenu(prompt) {
    let answer;
    try {
        answer = line.ask(menu(prompt));
    } catch (error) {
        if (error.payload?.tag !== "refused" || !speech) throw error;
    }
    if (speech && (!answer || answer.tag === "recogniser-busy")) {
        // No recogniser here, or none that is free: keys will do.
        speech = false;
        answer = line.ask(menu(prompt));
    }
    switch (answer.tag) {
        case "keys": return CHOICES[answer.val] ?? "unclear";
        case "speech": return answer.val.phrase ?? "unclear";
        default: return answer.tag;
    }
}

function menu(prompt) {
    return {
        prompt,
        keys: { max: 1, finish: null, first: 8000, between: 0 },
        speech: speech ? { phrases: PHRASES, wait: 8000, longest: 10000 } : null,
        keyInterrupts: true,
        voiceInterrupts: true,
    };
}

function confirm() {
    // The result comes before the good words: it stands even if the person does not wait for them.
    outcome.setResult("Подтвердил");
    lead.setField("confirmed", "yes");
    if (settings.get("send-sms") !== "yes") return bye("confirmed", "goodbye");
    try {
        sms.send(null, fill(settings.get("sms-text") ?? ""));
    } catch (error) {
        const why = { "not-configured": "нет шлюза", limit: "исчерпан лимит" }[error.payload?.tag];
        lead.note(`СМС не отправлено: ${why ?? error.payload?.val}`);
        return bye("confirmed", "goodbye");
    }
    bye("confirmed", "sms-sent", "goodbye");
}

function cancel() {
    outcome.setResult("Отменил");
    lead.setField("confirmed", "no");
    bye("cancelled", "goodbye");
}

function later() {
    outcome.setResult("Перезвонить");
    lead.note("Просил перезвонить позже");
    bye("we-will-call", "goodbye");
}

/** Asks for another day, as four digits and `#`. `*` begins anew. */
function change() {
    outcome.setResult("Перенести");
    let prompt = [clip("which-day")];
    for (let round = 0; round <= repeats(); round++) {
        const answer = line.ask({
            prompt,
            keys: { max: 4, finish: "#", first: 10000, between: 4000 },
            speech: null,
            keyInterrupts: true,
            voiceInterrupts: false,
        });
        if (answer.tag !== "keys") {
            prompt = [clip("again"), clip("which-day")];
            continue;
        }
        const day = dayAndMonth(answer.val);
        if (day) {
            lead.setField("new-date", day);
            lead.note(`Просит перенести на ${day}`);
            return bye("moved", "goodbye");
        }
        prompt = answer.val.includes("*") ? [clip("which-day")] : [clip("not-a-date"), clip("which-day")];
    }
    lead.note("Просит перенести, день не назвал");
    bye("we-will-call", "goodbye");
}

/** `DD.MM` if the keys are a day of a year. */
function dayAndMonth(keys) {
    const found = /^(\d\d)(\d\d)$/.exec(keys);
    if (!found) return null;
    const [, day, month] = found;
    const longest = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1] ?? 0;
    return day >= 1 && day <= longest ? `${day}.${month}` : null;
}

function operator() {
    play("connecting");
    const options = { longestWait: 30000, music: null, callBackProject: null };
    let why;
    try {
        const end = line.transfer({ tag: "operator", val: null }, options);
        if (end.tag === "talked") {
            outcome.setResult("Говорил с оператором");
            lead.note(`Говорил с оператором ${Math.floor(end.val / 1000)} с`);
            return bye("goodbye");
        }
        const words = { busy: "занято", "no-answer": "не ответил", rejected: "отклонил", nobody: "нет свободных" };
        why = words[end.tag] ?? end.val;
    } catch (error) {
        if (error.payload?.tag !== "refused") throw error;
        why = error.payload.val;
    }
    outcome.setResult("Перезвонить");
    lead.note(`Просил оператора: ${why}`);
    bye("we-will-call", "goodbye");
}

function stop() {
    outcome.setResult("Не звонить");
    lead.block("Попросил больше не звонить");
    bye("removed", "goodbye");
}

/** The greeting for the time of day in `now`, as `2026-03-01T10:00:00+03:00[Europe/Moscow]`. */
function greeting(now) {
    const hour = Number(now.slice(11, 13));
    if (hour >= 5 && hour < 12) return "good-morning";
    return hour >= 12 && hour < 18 ? "good-day" : "good-evening";
}

/** The digits of a field of the card, to be read out one by one; empty without any. */
function digitsOf(field) {
    return (lead.field(field) ?? "").replace(/[^0-9]/g, "");
}

/** The text of the message with the card's fields in place of `{name}`, `{date}` and `{time}`. */
function fill(text) {
    return ["name", "date", "time"].reduce((text, name) => text.replaceAll(`{${name}}`, lead.field(name) ?? ""), text);
}

/** The manifest's form lets only numbers through, and has a default. */
function repeats() {
    return Number(settings.get("repeats") ?? 2);
}

function clip(name) {
    return { tag: "clip", val: name };
}

function play(...clips) {
    line.play(clips.map(clip));
}

/** The last words. */
function bye(...clips) {
    play(...clips);
    line.hangup();
}
