// Asks whether the person will come. `run` is the whole call; when it returns, the call is hung up.

import * as lead from "zvonar:scenario/lead@0.1.0";
import * as line from "zvonar:scenario/line@0.1.0";
import * as outcome from "zvonar:scenario/outcome@0.1.0";
import * as settings from "zvonar:scenario/settings@0.1.0";

export function run() {
    try {
        talk();
    } catch (error) {
        // Somebody who hangs up is an everyday end. What is thrown from here is told to you; the caller hears the fallback.
        if (!["hung-up", "ended"].includes(error.payload?.tag)) {
            throw error.payload?.val ?? error;
        }
    }
}

function talk() {
    const repeats = Number(settings.get("repeats") ?? 1);
    let prompt = clips("hello", "menu");
    for (let round = 0; round <= repeats; round++) {
        switch (ask(prompt)) {
            case "1":
                outcome.setResult("Придёт");
                lead.setField("visit", "yes");
                return bye("thanks", "goodbye");
            case "2":
                outcome.setResult("Не придёт");
                return bye("sorry", "goodbye");
        }
        // No key, or one that means nothing.
        prompt = clips("again");
    }
    bye("goodbye");
}

/** Plays the prompt and waits 8 s for one key; `null`: there was none. */
function ask(prompt) {
    const answer = line.ask({
        prompt,
        keys: { max: 1, finish: null, first: 8000, between: 0 },
        speech: null,
        keyInterrupts: true,
        voiceInterrupts: false,
    });
    return answer.tag === "keys" ? answer.val : null;
}

function clips(...names) {
    return names.map((name) => ({ tag: "clip", val: name }));
}

/** The last words. */
function bye(...names) {
    line.play(clips(...names));
    line.hangup();
}
