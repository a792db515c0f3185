// See talk.h.
#include "talk.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

// Why the scenario has failed; NULL: it has not.
static const char *failure = NULL;

bool exports_scenario_run(scenario_string_t *why) {
    talk();
    if (failure == NULL) return true;
    // The bindings free it once the host has read it.
    scenario_string_dup(why, failure);
    return false;
}

static void *memory(size_t size) {
    void *memory = malloc(size);
    if (memory == NULL) __builtin_trap();
    return memory;
}

scenario_string_t text(const char *words) {
    // The bindings only read what is given to the host.
    return (scenario_string_t){ (uint8_t *)(uintptr_t)words, strlen(words) };
}

char *words(scenario_string_t text) {
    char *words = memory(text.len + 1);
    memcpy(words, text.ptr, text.len);
    words[text.len] = 0;
    return words;
}

char *joined(const char *first, ...) {
    size_t length = 1;
    va_list rest;
    va_start(rest, first);
    for (const char *part = first; part != NULL; part = va_arg(rest, const char *)) length += strlen(part);
    va_end(rest);
    char *all = memory(length);
    *all = 0;
    va_start(rest, first);
    for (const char *part = first; part != NULL; part = va_arg(rest, const char *)) strcat(all, part);
    va_end(rest);
    return all;
}

part_t clip(const char *name) {
    part_t part = { .tag = ZVONAR_SCENARIO_TYPES_PART_CLIP };
    part.val.clip = text(name);
    return part;
}

part_t digits(const char *digits) {
    part_t part = { .tag = ZVONAR_SCENARIO_TYPES_PART_DIGITS };
    part.val.digits = text(digits);
    return part;
}

bool fail(const char *why) {
    if (failure == NULL) failure = why;
    return false;
}

// The line has answered an error: the call is over, which is an everyday end, or the scenario was refused something.
static bool stopped(zvonar_scenario_line_line_error_t error) {
    if (error.tag == ZVONAR_SCENARIO_TYPES_LINE_ERROR_REFUSED) fail(words(error.val.refused));
    return false;
}

#define CLIPS 16

static size_t clips(part_t parts[CLIPS], const char *first, va_list rest) {
    size_t count = 0;
    for (const char *name = first; name != NULL && count < CLIPS; name = va_arg(rest, const char *)) {
        parts[count++] = clip(name);
    }
    return count;
}

static bool play_parts(part_t *parts, size_t count) {
    zvonar_scenario_line_list_part_t prompt = { parts, count };
    zvonar_scenario_line_line_error_t error;
    return zvonar_scenario_line_play(&prompt, &error) || stopped(error);
}

bool play(const char *first, ...) {
    part_t parts[CLIPS];
    va_list rest;
    va_start(rest, first);
    size_t count = clips(parts, first, rest);
    va_end(rest);
    return play_parts(parts, count);
}

void bye(const char *first, ...) {
    part_t parts[CLIPS];
    va_list rest;
    va_start(rest, first);
    size_t count = clips(parts, first, rest);
    va_end(rest);
    if (play_parts(parts, count)) zvonar_scenario_line_hangup();
}

bool ask(question_t *question, answer_t *answer, bool *refused) {
    zvonar_scenario_line_line_error_t error;
    if (zvonar_scenario_line_ask(question, answer, &error)) return true;
    if (refused != NULL && error.tag == ZVONAR_SCENARIO_TYPES_LINE_ERROR_REFUSED) return *refused = true;
    return stopped(error);
}

bool ask_keys(part_t *prompt, size_t parts, uint8_t max, char finish, uint32_t first, uint32_t between, char **keys) {
    question_t question = { .prompt = { prompt, parts }, .key_interrupts = true };
    question.keys.is_some = true;
    question.keys.val.max = max;
    question.keys.val.finish.is_some = finish != 0;
    question.keys.val.finish.val = (uint32_t)finish;
    question.keys.val.first = first;
    question.keys.val.between = between;
    answer_t answer;
    if (!ask(&question, &answer, NULL)) return false;
    *keys = answer.tag == ZVONAR_SCENARIO_LINE_ANSWER_KEYS ? words(answer.val.keys) : NULL;
    return true;
}

bool transfer(const char *group, uint32_t longest_wait, transfer_end_t *end) {
    zvonar_scenario_line_destination_t to = { .tag = ZVONAR_SCENARIO_LINE_DESTINATION_OPERATOR };
    to.val.operator_.is_some = group != NULL;
    if (group != NULL) to.val.operator_.val = text(group);
    zvonar_scenario_line_transfer_options_t options = { .longest_wait = longest_wait };
    zvonar_scenario_line_line_error_t error;
    if (zvonar_scenario_line_transfer(&to, &options, end, &error)) return true;
    if (error.tag != ZVONAR_SCENARIO_TYPES_LINE_ERROR_REFUSED) return stopped(error);
    end->tag = ZVONAR_SCENARIO_LINE_TRANSFER_END_FAILED;
    end->val.failed = error.val.refused;
    return true;
}

bool set_result(const char *name) {
    scenario_string_t result = text(name), why;
    return zvonar_scenario_outcome_set_result(&result, &why) || fail(words(why));
}

char *field(const char *name) {
    scenario_string_t field = text(name), value;
    return zvonar_scenario_lead_field(&field, &value) ? words(value) : NULL;
}

bool set_field(const char *name, const char *value) {
    scenario_string_t field = text(name), written = text(value), why;
    return zvonar_scenario_lead_set_field(&field, &written, &why) || fail(words(why));
}

void note(const char *words) {
    scenario_string_t note = text(words);
    zvonar_scenario_lead_note(&note);
}

const char *setting(const char *name, const char *usual) {
    scenario_string_t setting = text(name), value;
    return zvonar_scenario_settings_get(&setting, &value) ? words(value) : usual;
}

unsigned number_setting(const char *name, unsigned usual) {
    const char *value = setting(name, NULL);
    return value == NULL ? usual : (unsigned)strtoul(value, NULL, 10);
}

char *now(void) {
    scenario_string_t now;
    zvonar_scenario_host_now(&now);
    return words(now);
}
