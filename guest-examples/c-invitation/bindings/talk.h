// Short names for what scenarios use most. All of the contract, with its explanations, is in scenario.h.
//
// Texts are UTF-8. What these functions give lives to the end of the call, when all of the scenario's memory goes: nothing
// needs to be freed. A function that answers `false` says that the call is over (the person hung up, say) or that the
// scenario was refused something: return from `talk`.
#ifndef TALK_H
#define TALK_H

#include "scenario.h"

typedef zvonar_scenario_types_part_t part_t;
typedef zvonar_scenario_line_question_t question_t;
typedef zvonar_scenario_line_answer_t answer_t;
typedef zvonar_scenario_line_transfer_end_t transfer_end_t;

/// The whole call: what you write. When it returns, the call is hung up.
void talk(void);

/// A text for the contract's functions.
scenario_string_t text(const char *words);
/// The same as C has it, with a zero at its end.
char *words(scenario_string_t text);
/// All these in one, up to the NULL.
char *joined(const char *first, ...);

/// A sound of the package.
part_t clip(const char *name);
/// Digits, each by its clip `digit-0` to `digit-9`.
part_t digits(const char *digits);

/// Plays clips, up to the NULL.
bool play(const char *first, ...);
/// Asks for keys: `max` of them at most, `finish` (or 0) ends them, `first` and `between` are milliseconds. The answer is the
/// keys; NULL in `*keys`: there were none.
bool ask_keys(part_t *prompt, size_t parts, uint8_t max, char finish, uint32_t first, uint32_t between, char **keys);
/// Asks, as the question has it. `*refused` (if not NULL) becomes true, and the answer `true`, when the host will not.
bool ask(question_t *question, answer_t *answer, bool *refused);
/// Hands the caller to a group of operators (NULL: any) and says what came of it; a host that does not transfer is one more
/// failure.
bool transfer(const char *group, uint32_t longest_wait, transfer_end_t *end);
/// Plays the last words, up to the NULL, and hangs up.
void bye(const char *first, ...);

/// Sets the result, one of the manifest's.
bool set_result(const char *name);
/// A field of the card; NULL: there is none.
char *field(const char *name);
/// Writes a field of the card.
bool set_field(const char *name, const char *value);
/// Adds a note to the card.
void note(const char *words);
/// A setting; `usual` when the form has no such field.
const char *setting(const char *name, const char *usual);
/// A setting that is a number.
unsigned number_setting(const char *name, unsigned usual);
/// The time where the person is, as `2026-03-01T10:00:00+03:00[Europe/Moscow]`.
char *now(void);

/// The scenario has failed, in words for its author; the caller hears the fallback. Gives `false`.
bool fail(const char *why);

#endif
