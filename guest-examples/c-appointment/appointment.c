// «Запись на приём»: the person confirms the appointment, cancels or moves it, wants to be called later or to talk to an
// operator, or wants no more calls.
//
// The same scenario stands beside this one in Rust, JavaScript and Python; all four pass the conversations of
// `scenarios/appointment`. What each branch says and sets is listed in that folder's README.

#include "talk.h"

#include <stdlib.h>
#include <string.h>

// The first six are said as well as pressed.
enum choice { CONFIRM, CANCEL, MOVE, LATER, OPERATOR, STOP, UNCLEAR, SILENCE };

// The ways of saying each choice.
static const struct {
    const char *id;
    const char *ways[5];
} PHRASES[UNCLEAR] = {
    [CONFIRM] = { "confirm", { "да", "подтверждаю", "приду", "конечно" } },
    [CANCEL] = { "cancel", { "нет", "не приду", "не смогу", "отмените" } },
    [MOVE] = { "move", { "перенести", "перенесите", "другой день", "другое время" } },
    [LATER] = { "later", { "перезвоните", "позвоните позже", "не сейчас", "неудобно говорить" } },
    [OPERATOR] = { "operator", { "оператор", "оператора", "с человеком" } },
    [STOP] = { "stop", { "не звоните", "больше не звоните", "удалите мой номер" } },
};

// Whether the host is still to be asked for speech.
static bool speech = true;

static zvonar_scenario_line_option_speech_wanted_t speech_wanted(void) {
    static zvonar_scenario_line_phrase_t phrases[UNCLEAR];
    static scenario_string_t ways[UNCLEAR][5];
    zvonar_scenario_line_option_speech_wanted_t wanted = { .is_some = speech };
    if (!speech) return wanted;
    for (int i = 0; i < UNCLEAR; i++) {
        size_t count = 0;
        for (; PHRASES[i].ways[count] != NULL; count++) ways[i][count] = text(PHRASES[i].ways[count]);
        phrases[i].id = text(PHRASES[i].id);
        phrases[i].any_of = (scenario_list_string_t){ ways[i], count };
    }
    wanted.val.phrases = (zvonar_scenario_line_list_phrase_t){ phrases, UNCLEAR };
    wanted.val.wait = 8000;
    wanted.val.longest = 10000;
    return wanted;
}

static bool ask_menu(part_t *prompt, size_t parts, enum choice *choice) {
    question_t question = { .prompt = { prompt, parts }, .key_interrupts = true, .voice_interrupts = true };
    question.keys.is_some = true;
    question.keys.val.max = 1;
    question.keys.val.first = 8000;
    question.speech = speech_wanted();
    answer_t answer;
    bool refused = false;
    if (!ask(&question, &answer, speech ? &refused : NULL)) return false;
    if (speech && (refused || answer.tag == ZVONAR_SCENARIO_LINE_ANSWER_RECOGNISER_BUSY)) {
        // No recogniser here, or none that is free: keys will do.
        speech = false;
        question.speech = speech_wanted();
        if (!ask(&question, &answer, NULL)) return false;
    }
    *choice = UNCLEAR;
    if (answer.tag == ZVONAR_SCENARIO_LINE_ANSWER_SILENCE) {
        *choice = SILENCE;
    } else if (answer.tag == ZVONAR_SCENARIO_LINE_ANSWER_KEYS) {
        switch (*words(answer.val.keys)) {
        case '1': *choice = CONFIRM; break;
        case '2': *choice = MOVE; break;
        case '3': *choice = CANCEL; break;
        case '4': *choice = LATER; break;
        case '0': *choice = OPERATOR; break;
        case '9': *choice = STOP; break;
        }
    } else if (answer.tag == ZVONAR_SCENARIO_LINE_ANSWER_SPEECH && answer.val.speech.phrase.is_some) {
        const char *phrase = words(answer.val.speech.phrase.val);
        for (int i = 0; i < UNCLEAR; i++) {
            if (strcmp(phrase, PHRASES[i].id) == 0) *choice = (enum choice)i;
        }
    }
    return true;
}

static unsigned repeats(void) {
    return number_setting("repeats", 2);
}

// The text with the card's fields in place of `{name}`, `{date}` and `{time}`.
static const char *fill(const char *template) {
    static const char *const NAMES[] = { "name", "date", "time" };
    for (int i = 0; i < 3; i++) {
        const char *mark = joined("{", NAMES[i], "}", NULL), *found;
        const char *value = field(NAMES[i]);
        if (value == NULL) value = "";
        const char *done = "";
        while ((found = strstr(template, mark)) != NULL) {
            char *before = words((scenario_string_t){ (uint8_t *)(uintptr_t)template, (size_t)(found - template) });
            done = joined(done, before, value, NULL);
            template = found + strlen(mark);
        }
        template = joined(done, template, NULL);
    }
    return template;
}

static void confirm(void) {
    // The result comes before the good words: it stands even if the person does not wait for them.
    if (!set_result("Подтвердил") || !set_field("confirmed", "yes")) return;
    if (strcmp(setting("send-sms", "no"), "yes") != 0) return bye("confirmed", "goodbye", NULL);
    scenario_string_t message = text(fill(setting("sms-text", ""))), id;
    zvonar_scenario_sms_sms_error_t error;
    if (zvonar_scenario_sms_send(NULL, &message, &id, &error)) return bye("confirmed", "sms-sent", "goodbye", NULL);
    const char *why = "исчерпан лимит";
    if (error.tag == ZVONAR_SCENARIO_SMS_SMS_ERROR_NOT_CONFIGURED) why = "нет шлюза";
    if (error.tag == ZVONAR_SCENARIO_SMS_SMS_ERROR_REFUSED) why = words(error.val.refused);
    note(joined("СМС не отправлено: ", why, NULL));
    bye("confirmed", "goodbye", NULL);
}

static void cancel(void) {
    if (!set_result("Отменил") || !set_field("confirmed", "no")) return;
    bye("cancelled", "goodbye", NULL);
}

static void later(void) {
    if (!set_result("Перезвонить")) return;
    note("Просил перезвонить позже");
    bye("we-will-call", "goodbye", NULL);
}

static int two_digits(const char *keys) {
    return (keys[0] - '0') * 10 + (keys[1] - '0');
}

// Whether the keys are a day of a year, as DDMM.
static bool is_date(const char *keys) {
    static const int LONGEST[] = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    if (strlen(keys) != 4 || strspn(keys, "0123456789") != 4) return false;
    int day = two_digits(keys), month = two_digits(keys + 2);
    return month >= 1 && month <= 12 && day >= 1 && day <= LONGEST[month - 1];
}

// Asks for another day, as four digits and `#`. `*` begins anew.
static void change(void) {
    if (!set_result("Перенести")) return;
    part_t prompt[2] = { clip("which-day") };
    size_t parts = 1;
    for (unsigned round = 0; round <= repeats(); round++) {
        char *keys;
        if (!ask_keys(prompt, parts, 4, '#', 10000, 4000, &keys)) return;
        if (keys != NULL && is_date(keys)) {
            char day[] = { keys[0], keys[1], '.', keys[2], keys[3], 0 };
            if (!set_field("new-date", day)) return;
            note(joined("Просит перенести на ", day, NULL));
            return bye("moved", "goodbye", NULL);
        }
        bool anew = keys != NULL && strchr(keys, '*') != NULL;
        parts = anew ? 1 : 2;
        prompt[0] = clip(anew ? "which-day" : keys == NULL ? "again" : "not-a-date");
        prompt[1] = clip("which-day");
    }
    note("Просит перенести, день не назвал");
    bye("we-will-call", "goodbye", NULL);
}

// A number in digits.
static const char *decimal(unsigned number) {
    static char text[12];
    char *at = text + sizeof text - 1;
    do *--at = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    return at;
}

static void operator(void) {
    transfer_end_t end;
    if (!play("connecting", NULL) || !transfer(NULL, 30000, &end)) return;
    const char *why = "нет свободных";
    switch (end.tag) {
    case ZVONAR_SCENARIO_LINE_TRANSFER_END_TALKED:
        if (!set_result("Говорил с оператором")) return;
        note(joined("Говорил с оператором ", decimal(end.val.talked / 1000), " с", NULL));
        return bye("goodbye", NULL);
    case ZVONAR_SCENARIO_LINE_TRANSFER_END_BUSY: why = "занято"; break;
    case ZVONAR_SCENARIO_LINE_TRANSFER_END_NO_ANSWER: why = "не ответил"; break;
    case ZVONAR_SCENARIO_LINE_TRANSFER_END_REJECTED: why = "отклонил"; break;
    case ZVONAR_SCENARIO_LINE_TRANSFER_END_FAILED: why = words(end.val.failed); break;
    }
    if (!set_result("Перезвонить")) return;
    note(joined("Просил оператора: ", why, NULL));
    bye("we-will-call", "goodbye", NULL);
}

static void stop(void) {
    if (!set_result("Не звонить")) return;
    scenario_string_t reason = text("Попросил больше не звонить");
    zvonar_scenario_lead_block(&reason);
    bye("removed", "goodbye", NULL);
}

// The greeting for the time of day in `now`, as `2026-03-01T10:00:00+03:00[Europe/Moscow]`.
static const char *greeting(const char *now) {
    int hour = two_digits(now + 11);
    if (hour >= 5 && hour < 12) return "good-morning";
    return hour >= 12 && hour < 18 ? "good-day" : "good-evening";
}

// The digits of a field of the card, to be read out one by one; empty without any.
static char *digits_of(const char *name) {
    char *value = field(name), *end = value;
    if (value == NULL) return "";
    for (const char *at = value; *at != 0; at++) {
        if (*at >= '0' && *at <= '9') *end++ = *at;
    }
    *end = 0;
    return value;
}

void talk(void) {
    zvonar_scenario_line_call_info_t about;
    zvonar_scenario_line_about(&about);
    scenario_string_t attempt = text(joined("attempt ", decimal(about.attempt), NULL));
    zvonar_scenario_host_log(ZVONAR_SCENARIO_HOST_LEVEL_DEBUG, &attempt);

    // Apart from the question: the «алло» of whoever picks up is no answer to it.
    if (!play(greeting(now()), NULL)) return;
    part_t prompt[5] = { clip("reminder") };
    size_t parts = 1;
    char *date = digits_of("date"), *time = digits_of("time");
    if (*date != 0 && *time != 0) {
        prompt[parts++] = digits(date);
        prompt[parts++] = clip("at");
        prompt[parts++] = digits(time);
    }
    prompt[parts++] = clip("menu");
    for (unsigned round = 0; round <= repeats(); round++) {
        enum choice choice;
        if (!ask_menu(prompt, parts, &choice)) return;
        switch (choice) {
        case CONFIRM: return confirm();
        case CANCEL: return cancel();
        case MOVE: return change();
        case LATER: return later();
        case OPERATOR: return operator();
        case STOP: return stop();
        case UNCLEAR: prompt[0] = clip("wrong-key"); break;
        case SILENCE: prompt[0] = clip("again"); break;
        }
        prompt[1] = clip("menu");
        parts = 2;
    }
    bye("goodbye", NULL);
}
