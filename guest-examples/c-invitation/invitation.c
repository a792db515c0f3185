// An invitation: whoever presses 1 gets the address as a text message, to the number called or to one that they type.

#include "talk.h"

#include <string.h>

// Sends the address; says whether the host took it.
static bool send_address(const char *to) {
    scenario_string_t message = text(setting("sms-text", "")), number = text(to == NULL ? "" : to), id;
    zvonar_scenario_sms_sms_error_t error;
    if (zvonar_scenario_sms_send(to == NULL ? NULL : &number, &message, &id, &error)) return true;
    const char *why = "исчерпан лимит";
    if (error.tag == ZVONAR_SCENARIO_SMS_SMS_ERROR_NOT_CONFIGURED) why = "нет шлюза";
    if (error.tag == ZVONAR_SCENARIO_SMS_SMS_ERROR_REFUSED) why = words(error.val.refused);
    note(joined("СМС не отправлено: ", why, NULL));
    return false;
}

static void invite(const char *to) {
    if (!set_result("Придёт")) return;
    if (send_address(to)) bye("sent", "goodbye", NULL);
    else bye("not-sent", "goodbye", NULL);
}

// Asks for ten digits of a mobile number; `#` alone takes the number that was called.
static void other_number(void) {
    for (int round = 0; round < 2; round++) {
        part_t prompt[] = { clip(round == 0 ? "which-number" : "not-a-number") };
        char *keys;
        if (!ask_keys(prompt, 1, 10, '#', 10000, 5000, &keys)) return;
        if (keys == NULL) continue;
        if (*keys == 0) return invite(NULL);
        if (strlen(keys) == 10 && *keys == '9' && strspn(keys, "0123456789") == 10) {
            const char *to = joined("+7", keys, NULL);
            if (!set_field("sms-phone", to)) return;
            return invite(to);
        }
    }
    invite(NULL);
}

void talk(void) {
    part_t prompt[] = { clip("hello"), clip("menu") };
    size_t parts = 2;
    for (unsigned round = 0; round <= number_setting("repeats", 1); round++) {
        char *keys;
        if (!ask_keys(prompt, parts, 1, 0, 8000, 0, &keys)) return;
        switch (keys == NULL ? 0 : *keys) {
        case '1': return invite(NULL);
        case '2': return other_number();
        case '3':
            if (set_result("Не придёт")) bye("sorry", "goodbye", NULL);
            return;
        }
        prompt[0] = clip("menu");
        parts = 1;
    }
    bye("goodbye", NULL);
}
