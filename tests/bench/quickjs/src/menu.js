// The scenario `menu`, as an embedded engine would run it: a generator that gives out what it wants of the host.
function* run(host) {
    const repeats = Number(host.setting("repeats") ?? "1");
    let prompt = "menu";
    for (let asked = 0; asked <= repeats; asked++) {
        const answer = yield { ask: [prompt], max: 1, first: 10000, between: 0, interrupts: true };
        if (answer === null) return;
        if (answer === "1") {
            host.result("Записаться");
            yield { play: ["confirm", "goodbye"] };
            host.hangup();
            return;
        }
        if (answer === "2") {
            host.result("Не интересно");
            yield { play: ["goodbye"] };
            host.hangup();
            return;
        }
        prompt = "again";
    }
    yield { play: ["goodbye"] };
    host.hangup();
}
