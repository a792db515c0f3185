// Asks whether the person will come. `talk` is the whole call; when it returns, the call is hung up.

#include "talk.h"

// Plays the prompt and waits 8 s for one key.
static bool ask_key(part_t *prompt, size_t parts, char **key) {
    return ask_keys(prompt, parts, 1, 0, 8000, 0, key);
}

void talk(void) {
    unsigned repeats = number_setting("repeats", 1);
    part_t prompt[] = { clip("hello"), clip("menu") };
    size_t parts = 2;
    for (unsigned round = 0; round <= repeats; round++) {
        char *key;
        // Somebody who hangs up is an everyday end.
        if (!ask_key(prompt, parts, &key)) return;
        switch (key == NULL ? 0 : *key) {
        case '1':
            if (!set_result("Придёт") || !set_field("visit", "yes")) return;
            return bye("thanks", "goodbye", NULL);
        case '2':
            if (!set_result("Не придёт")) return;
            return bye("sorry", "goodbye", NULL);
        }
        // No key, or one that means nothing.
        prompt[0] = clip("again");
        parts = 1;
    }
    bye("goodbye", NULL);
}
