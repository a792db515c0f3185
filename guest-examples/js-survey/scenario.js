// A survey: marks from 1 to 5 for three questions, by key or by word, and their average in the card.

import * as lead from "zvonar:scenario/lead@0.1.0";
import * as line from "zvonar:scenario/line@0.1.0";
import * as outcome from "zvonar:scenario/outcome@0.1.0";
import * as settings from "zvonar:scenario/settings@0.1.0";

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

const QUESTIONS = ["quality", "politeness", "recommend"];
const MARKS = [
    { id: "1", anyOf: ["один", "единица", "очень плохо"] },
    { id: "2", anyOf: ["два", "двойка", "плохо"] },
    { id: "3", anyOf: ["три", "тройка", "нормально"] },
    { id: "4", anyOf: ["четыре", "четвёрка", "хорошо"] },
    { id: "5", anyOf: ["пять", "пятёрка", "отлично"] },
];
const YES_OR_NO = [
    { id: "1", anyOf: ["да", "можно", "давайте"] },
    { id: "2", anyOf: ["нет", "некогда", "не хочу"] },
];

function talk() {
    const willing = ask(["hello", "may-we"], YES_OR_NO);
    if (willing !== "1") {
        if (willing === "2") outcome.setResult("Отказ");
        return bye(willing === "2" ? "sorry" : "no-answer", "goodbye");
    }
    const marks = [];
    for (const question of QUESTIONS) {
        let mark = ask([question, "from-one-to-five"], MARKS);
        for (let round = 0; round < repeats() && mark === null; round++) {
            mark = ask(["did-not-get-it", question, "from-one-to-five"], MARKS);
        }
        // A question that is not answered is left out of the average.
        if (mark === null) continue;
        marks.push(Number(mark));
        lead.setField(question, mark);
        // After each answer: whoever leaves half-way has said something all the same.
        const average = marks.reduce((sum, mark) => sum + mark, 0) / marks.length;
        lead.setField("average", average.toFixed(1));
        outcome.setResult(marks.length === QUESTIONS.length ? "Опрос пройден" : "Опрос пройден частично");
    }
    if (marks.some((mark) => mark <= 2)) lead.note(`Низкая оценка: ${marks.join(", ")}`);
    bye(marks.length > 0 ? "thanks" : "no-answer", "goodbye");
}

/** Whether the host is still to be asked for speech. */
let speech = true;

/** Asks for one of the phrases, by its words or by its id as a key. `null`: anything else. */
function ask(clips, phrases) {
    const question = () => ({
        prompt: clips.map(clip),
        keys: { max: 1, finish: null, first: 7000, between: 0 },
        speech: speech ? { phrases, wait: 7000, longest: 8000 } : null,
        keyInterrupts: true,
        voiceInterrupts: true,
    });
    let answer;
    try {
        answer = line.ask(question());
    } catch (error) {
        if (error.payload?.tag !== "refused" || !speech) throw error;
    }
    if (speech && (!answer || answer.tag === "recogniser-busy")) {
        // No recogniser here, or none that is free: keys will do.
        speech = false;
        answer = line.ask(question());
    }
    const id = answer.tag === "keys" ? answer.val : answer.tag === "speech" ? answer.val.phrase : null;
    return phrases.some((phrase) => phrase.id === id) ? id : null;
}

function repeats() {
    return Number(settings.get("repeats") ?? 1);
}

function clip(name) {
    return { tag: "clip", val: name };
}

/** The last words. */
function bye(...clips) {
    line.play(clips.map(clip));
    line.hangup();
}
