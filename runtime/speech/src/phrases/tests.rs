use proptest::prelude::*;

use super::*;

/// Phrases as `id: way, way; id: way`.
fn phrases(told: &str) -> Vec<Phrase> {
    let phrase = |part: &str| {
        let (id, ways) = part.split_once(':').expect("id: ways");
        Phrase { id: id.trim().into(), any_of: ways.split(',').map(|way| way.trim().to_owned()).collect() }
    };
    told.split(';').map(phrase).collect()
}

fn set(told: &str) -> PhraseSet {
    PhraseSet::new(&phrases(told)).expect("sound phrases")
}

fn check(phrases: &str, table: &[(&str, Option<&str>)]) {
    let set = set(phrases);
    for (text, meant) in table {
        let found = set.find(text);
        assert_eq!(found.phrase, *meant, "{text}: {found:?}");
    }
}

const APPOINTMENT: &str = "yes: да, согласен, подтверждаю, приду; no: нет, не согласен, не приду, не надо; \
     later: перезвоните, перезвоните позже, не сейчас; operator: соедините с оператором, оператор; \
     never: не звоните, больше не звоните";

#[test]
fn what_callers_say_finds_what_they_mean() {
    check(
        APPOINTMENT,
        &[
            ("Да.", Some("yes")),
            ("ну… да, конечно", Some("yes")),
            ("Да-да, приду", Some("yes")),
            ("согласна", Some("yes")),
            ("Нет!", Some("no")),
            ("да нет", Some("no")),
            ("я не согласна", Some("no")),
            ("нет, я не приду", Some("no")),
            ("Не, не надо", Some("no")),
            ("Перезвоните, пожалуйста, завтра", Some("later")),
            ("да, перезвоните", Some("later")),
            ("не, перезвоните", Some("later")),
            ("можете перезвонить позже?", Some("later")),
            ("Соедините меня с оператором", Some("operator")),
            ("оператора", Some("operator")),
            ("Не звоните мне больше", Some("never")),
            ("Больше мне не звоните", Some("never")),
        ],
    );
}

/// Whoever is not understood is asked again; whoever is misunderstood is charged, transferred or struck off.
#[test]
fn what_says_something_else_is_no_answer() {
    check(
        APPOINTMENT,
        &[
            ("дата", None),
            ("дай", None),
            ("даю", None),
            ("не перезвоните", None),
            ("звоните", None),
            ("да я вообще не понимаю, кто вы такие и что вам нужно", None),
            ("кто это", None),
            ("не надо мне никакого оператора", Some("no")),
            ("не соединяйте меня, пожалуйста, с оператором", None),
            ("оператор мне", Some("operator")),
            ("оператор не нужен", None),
            ("да не хочу я", None),
            ("Я не понял, соедините с оператором", Some("operator")),
            ("", None),
            ("!?", None),
        ],
    );
    check(
        "book: запишите меня на вторник утром",
        &[
            ("запишите меня на вторник утром", Some("book")),
            ("запиши меня на вторник утром", Some("book")),
            ("запишите меня на вторник вечером", None),
            ("запишите меня на четверг утром", None),
            ("не запишите меня на вторник утром", None),
        ],
    );
    check("join: соедините с оператором", &[("не соедините с оператором", None)]);
    check(
        "apart: не соединяйте с оператором",
        &[("соединяйте с оператором", None), ("не соединяйте с оператором", Some("apart"))],
    );
}

#[test]
fn a_recognisers_slips_are_forgiven_in_long_words_and_nowhere_else() {
    check(
        "later: перезвоните; yes: подтверждаю; echo: эхо тест завершен; quieter: что бы потише слышать других участников; hold: оставайтесь на линии; no: нет",
        &[
            ("перезваните", Some("later")),
            ("подтвержаю", Some("yes")),
            ("потверждаю", Some("yes")),
            ("эхотест завершен", Some("echo")),
            ("и х-тест завершён.", Some("echo")),
            ("чтобы потейшес слышать других участников", Some("quieter")),
            ("Эхо-тест завершён.", Some("echo")),
            ("оставайтесь налинии", Some("hold")),
            ("остовайтесь на линии", Some("hold")),
            // A negation, a short word, a prefix with a meaning.
            ("нем", None),
            ("позвоните", None),
            ("опровергаю", None),
        ],
    );
}

#[test]
fn numbers_are_the_same_in_words_and_digits_and_never_another_number() {
    check(
        "one: нажмите 1, один; two: нажмите два, 2; late: в двадцать пять минут девятого; first: первый этаж",
        &[
            ("1", Some("one")),
            ("Один.", Some("one")),
            ("нажмите один", Some("one")),
            ("нажмите 2", Some("two")),
            ("нажмите три", None),
            ("один или два", None),
            ("в 25 минут 9-го", Some("late")),
            ("в 26 минут 9-го", None),
            ("1-й этаж", Some("first")),
            ("на первом этаже", Some("first")),
        ],
    );
}

#[test]
fn of_two_phrases_that_say_equally_much_neither_is_the_answer() {
    let set = set(
        "one: раз; two: два раза; three: двадцать; both: раз два три; tea: чай с молоком; milk: молоко с чаем",
    );
    for (text, meant, why) in [
        ("раз", Some("one"), Why::Fits),
        ("раз два три", Some("both"), Why::Fits),
        ("чай с молоком", Some("tea"), Why::Fits),
        ("чай с молоком или молоко с чаем", None, Why::Ambiguous),
        ("четыре", None, Why::NothingFits),
    ] {
        let found = set.find(text);
        assert_eq!((found.phrase, found.why), (meant, why), "{text}: {found:?}");
    }
}

#[test]
fn the_score_falls_with_what_had_to_be_forgiven_and_the_next_best_is_told() {
    let set = set("later: перезвоните завтра; tomorrow: позвоните завтра; no: нет");
    let exact = set.find("перезвоните завтра");
    let endings = set.find("перезвонить завтра");
    let slips = set.find("перезваните завтра");
    assert_eq!(exact.phrase, Some("later"));
    assert!(exact.score > endings.score && endings.score > slips.score, "{exact:?} {endings:?} {slips:?}");
    assert!((exact.score - 1.0).abs() < f32::EPSILON);
    let (next, score) = exact.next.expect("a phrase that is much like it");
    assert!(next == "tomorrow" && score > 0.5 && score < exact.score, "{exact:?}");
    let near = set.find("позвони вчера");
    assert_eq!((near.phrase, near.next.map(|(id, _)| id)), (None, Some("tomorrow")), "{near:?}");
}

#[test]
fn a_set_that_cannot_work_is_refused_with_every_fault() {
    let told = |phrases: &[Phrase]| -> Vec<String> {
        PhraseSet::new(phrases).expect_err("faults").iter().map(ToString::to_string).collect()
    };
    let many: Vec<Phrase> =
        (0..300).map(|n| Phrase { id: n.to_string(), any_of: vec![format!("фраза {n}")] }).collect();
    assert_eq!(told(&many), ["a question listens for at most 100 phrases, not 300"]);
    assert_eq!(
        told(&phrases("yes: да, ...; yes: ага; : нет; later: Перезвоните!; again: перезвоните; end: раз, "))
            [..],
        [
            "phrase `yes`: `...` holds no word that could be heard",
            "two phrases are called `yes`: write their ways of saying it into one",
            "a phrase has no id: give it one, it is how the answer is told",
            "phrases `later` and `again` cannot be told apart: both are said as `перезвоните`",
            "phrase `end`: `` holds no word that could be heard",
        ]
    );
    // The same by its stems and its numbers.
    assert_eq!(
        told(&phrases("a: первый этаж; b: 1 этажа")),
        ["phrases `a` and `b` cannot be told apart: both are said as `1 этажа`"]
    );
    let none = Phrase { id: "x".into(), any_of: Vec::new() };
    assert_eq!(told(&[none]), ["phrase `x` has 0 ways of saying it; it needs 1 to 50"]);
    assert!(PhraseSet::new(&[]).expect("any words").is_empty());
}

/// What thirty real recordings say (Asterisk's Russian prompts), each as a phrase of its own.
#[test]
fn thirty_real_sentences_find_themselves_and_no_other() {
    let table = include_str!("../../tests/data/sentences-ru.tsv");
    let said: Vec<(&str, &str)> =
        table.lines().map(|line| line.split_once('\t').expect("file, text")).collect();
    let all: Vec<Phrase> =
        said.iter().map(|(id, text)| Phrase { id: (*id).into(), any_of: vec![(*text).into()] }).collect();
    let set = PhraseSet::new(&all).expect("thirty different sentences");
    assert_eq!(all.len(), 30);
    for (id, text) in said {
        let found = set.find(text);
        assert_eq!(found.phrase, Some(id));
        assert!(found.next.is_none_or(|(_, score)| score <= 0.7), "{text}: {found:?}");
    }
}

proptest! {
    #[test]
    fn whatever_is_said_nothing_panics_and_scores_stay_in_bounds(text in "[а-яё ,.0-9a-z]{0,80}") {
        let set = set(APPOINTMENT);
        let found = set.find(&text);
        prop_assert!((0.0..=1.0).contains(&found.score));
        prop_assert_eq!(found.phrase.is_some(), found.why == Why::Fits);
    }

    /// A phrase is found wherever it stands, unless what stands before it is «не».
    #[test]
    fn a_phrase_is_found_among_other_words(
        before in prop::collection::vec(prop::sample::select(vec!["ну", "э", "слушайте", "я", "тут"]), 0..4),
        after in prop::collection::vec(prop::sample::select(vec!["пожалуйста", "спасибо", "тогда", "хорошо"]), 0..4),
    ) {
        let set = set(APPOINTMENT);
        let (before, after) = (before.join(" "), after.join(" "));
        let plain = set.find(&format!("{before} соедините с оператором {after}")).phrase;
        prop_assert_eq!(plain, Some("operator"));
        let negated = set.find(&format!("{before} не соедините с оператором {after}")).phrase;
        prop_assert_ne!(negated, Some("operator"));
    }
}
