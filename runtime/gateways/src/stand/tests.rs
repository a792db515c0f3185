use super::*;
use crate::smsc::Callback;

fn at(seconds: i64) -> UnixMillis {
    UnixMillis(1_700_000_000_000 + seconds * 1_000)
}

fn said(reply: Reply) -> String {
    match reply {
        Reply::Whole(body) => String::from_utf8(body).unwrap(),
        other => panic!("{other:?}"),
    }
}

/// Asks as a client with a key, in UTF-8 and for JSON.
fn ask(stand: &mut Stand, second: i64, path: &str, form: &str) -> String {
    said(stand.answer(at(second), path, format!("apikey=k&fmt=3&charset=utf-8&{form}").as_bytes()))
}

#[test]
fn a_message_is_taken_paid_and_moves_on_with_the_clock() {
    let mut stand = Stand::new(StandSettings::default());
    let send = "id=7&phones=%2B79001234567&mes=%D0%94%D0%B0&cost=3&sender=Z";
    assert_eq!(
        ask(&mut stand, 0, "/sys/send.php", send),
        r#"{"balance":"98.20","cnt":1,"cost":"1.80","id":7}"#
    );
    assert_eq!(ask(&mut stand, 1, "/sys/balance.php", ""), r#"{"balance":"98.20"}"#);
    let status = |stand: &mut Stand, second| {
        stand.advance(at(second));
        let answer = ask(stand, second, "/sys/status.php", "id=7&phone=79001234567");
        serde_json::from_str::<Value>(&answer).unwrap()["status"].as_i64().unwrap()
    };
    assert_eq!([0, 1, 3, 4, 9].map(|second| status(&mut stand, second)), [-1, 0, 0, 1, 1]);
    assert_eq!(
        ask(&mut stand, 9, "/sys/status.php", "id=8&phone=79001234567"),
        r#"{"error":"message not found","error_code":3}"#
    );
    let all = ask(&mut stand, 9, "/sys/status.php", "id=7&phone=79001234567&all=1");
    assert!(all.contains(r#""cost":"1.80""#) && all.contains(r#""message":"Да""#), "{all}");
    let taken: Vec<&Taken> = stand.taken().collect();
    assert_eq!((taken.len(), &taken[0].text[..], &taken[0].sender[..]), (1, "Да", "Z"));
}

#[test]
fn nothing_is_sent_twice_and_only_asking_for_the_price_sends_nothing() {
    let mut stand = Stand::new(StandSettings::default());
    let price = "phones=79001234567&mes=Hi&cost=1";
    assert_eq!(ask(&mut stand, 0, "/sys/send.php", price), r#"{"cnt":1,"cost":"1.80"}"#);
    assert_eq!(ask(&mut stand, 0, "/sys/send.php", "id=7&phones=79001234567&mes=Hi"), r#"{"cnt":1,"id":7}"#);
    let code = |stand: &mut Stand, second, form: &str| {
        let answer: Value = serde_json::from_str(&ask(stand, second, "/sys/send.php", form)).unwrap();
        answer["error_code"].as_u64().unwrap_or(0)
    };
    assert_eq!(code(&mut stand, 1, "id=7&phones=79001234567&mes=Hi"), 9);
    assert_eq!(code(&mut stand, 500, "id=7&phones=79001234567&mes=Hi"), 9, "it has this number");
    assert_eq!(code(&mut stand, 501, "id=8&phones=79001234567&mes=Hi"), 0);
    assert_eq!(code(&mut stand, 560, "id=9&phones=79001234567&mes=Hi"), 9, "the same within a minute");
    assert_eq!(code(&mut stand, 561, "id=9&phones=79001234567&mes=Hi"), 0);
    assert_eq!(stand.taken().count(), 3);
}

#[test]
fn it_says_no_as_smsc_does() {
    let mut stand = Stand::new(StandSettings { balance: Kopecks(200), ..StandSettings::default() });
    for (form, code) in [
        ("phones=79001234567", 1),
        ("phones=79001234567&mes=x&id=2147483648", 1),
        ("phones=123&mes=x", 7),
        ("phones=79001234507&mes=x", 7),
        ("phones=79001234508&mes=x", 8),
        ("phones=79001234567&mes=x", 0),
        ("phones=79001234567&mes=y", 3),
    ] {
        let answer: Value = serde_json::from_str(&ask(&mut stand, 0, "/sys/send.php", form)).unwrap();
        assert_eq!(answer["error_code"].as_u64().unwrap_or(0), code, "{form}");
    }
    stand.pay(Kopecks(200));
    assert!(ask(&mut stand, 0, "/sys/send.php", "phones=79001234567&mes=y").contains("cnt"));
    for code in 1..=9 {
        stand.treat(Manner::Refuses(code), Some(1));
        assert!(ask(&mut stand, 0, "/sys/balance.php", "").contains(&format!("\"error_code\":{code}")));
        assert!(ask(&mut stand, 0, "/sys/balance.php", "").contains("balance"));
    }
    let text = |form: &str, stand: &mut Stand| said(stand.answer(at(0), "/sys/send.php", form.as_bytes()));
    assert_eq!(text("login=a&psw=b&phones=1&mes=x", &mut stand), "ERROR = 7 (invalid number)");
    assert_eq!(text("login=a&psw=b&phones=1&mes=x&fmt=1", &mut stand), "0,-7");
    assert_eq!(text("login=a&phones=1&mes=x", &mut stand), "ERROR = 2 (authorise error)");
}

#[test]
fn only_the_account_is_let_in() {
    let password = Secret::new("пароль").unwrap();
    let account = Account::Login { login: "me".into(), password };
    let mut stand = Stand::new(StandSettings { account: Some(account), ..StandSettings::default() });
    let mut lets = |form: &str| {
        let form = format!("{form}&fmt=3&charset=utf-8");
        said(stand.answer(at(0), "/sys/balance.php", form.as_bytes())).contains("balance")
    };
    assert!(lets("login=me&psw=e242f36f4f95f12966da8fa2efd59992"));
    assert!(lets("login=me&psw=%D0%BF%D0%B0%D1%80%D0%BE%D0%BB%D1%8C"));
    assert!(!lets("login=me&psw=E"));
    assert!(!lets("login=you&psw=e242f36f4f95f12966da8fa2efd59992"));
    assert!(!lets("apikey=пароль"));
}

/// Whoever forgets `charset=utf-8` sends this to people.
#[test]
fn a_text_whose_letters_are_not_said_is_mojibake() {
    let mut stand = Stand::new(StandSettings::default());
    stand.answer(at(0), "/sys/send.php", "apikey=k&phones=79001234567&mes=Да".as_bytes());
    let windows = [&b"apikey=k&phones=79001234568&mes="[..], &[0xc4, 0xe0]].concat();
    stand.answer(at(0), "/sys/send.php", &windows);
    let texts: Vec<&str> = stand.taken().map(|taken| &taken.text[..]).collect();
    assert_eq!(texts, ["Р”Р°", "Да"]);
}

#[test]
fn news_of_what_is_final_is_signed() {
    let secret = Secret::new("слово").unwrap();
    let mut stand = Stand::new(StandSettings { secret: Some(secret.clone()), ..StandSettings::default() });
    for (id, phone) in [(1, "79001234567"), (2, "79001234503"), (3, "79001234520")] {
        ask(&mut stand, 0, "/sys/send.php", &format!("id={id}&phones={phone}&mes=x"));
    }
    assert_eq!(stand.due(), Some(at(1)));
    assert!(stand.advance(at(3)).is_empty());
    let news: Vec<(u32, i32)> = stand
        .advance(at(100))
        .iter()
        .map(|News(form)| Callback::read(form.as_bytes(), &secret).unwrap())
        .map(|news| (news.id.expect("ours").get(), news.status))
        .collect();
    assert_eq!(news, [(1, 1), (2, 3), (3, 20)]);
    assert_eq!(stand.due(), None);
}

#[test]
fn one_telephone_is_treated_in_a_way_of_its_own() {
    let mut stand = Stand::new(StandSettings::default());
    stand.treat_phone("+7 900 123-45-67", Manner::Refuses(10));
    stand.treat_phone("79001234568", Manner::RefusesInWords);
    let send = |stand: &mut Stand, phone: &str| {
        ask(stand, 0, "/sys/send.php", &format!("phones={phone}&mes=x{phone}"))
    };
    assert_eq!(send(&mut stand, "79001234567"), r#"{"error":"error","error_code":10}"#);
    assert_eq!(send(&mut stand, "79001234568"), r#"{"error":"try another time"}"#);
    assert!(send(&mut stand, "79001234569").contains("cnt"));
    assert!(ask(&mut stand, 0, "/sys/balance.php", "").contains("balance"));
    stand.treat_phone("79001234567", Manner::Answers);
    assert!(send(&mut stand, "79001234567").contains("cnt"));
    assert_eq!(
        (Manner::named("10"), Manner::named("refuses-in-words")),
        (Ok(Manner::Refuses(10)), Ok(Manner::RefusesInWords))
    );
    assert!(Manner::named("100").unwrap_err().contains("refuses-in-words"));
}

/// The same number again was refused in silence, so a client that gave messages twice looked like one that did not.
#[test]
fn whoever_offers_a_message_that_was_taken_is_counted_whatever_he_is_told() {
    let mut stand = Stand::new(StandSettings::default());
    let offer = "id=7&phones=79001234567&mes=x&cost=3";
    stand.treat(Manner::Refuses(3), Some(1));
    ask(&mut stand, 0, "/sys/send.php", offer);
    ask(&mut stand, 1, "/sys/send.php", offer);
    let again = |stand: &Stand| stand.taken().map(|taken| taken.offered_again).sum::<u32>();
    assert_eq!(again(&stand), 0, "the first time it was not taken");
    ask(&mut stand, 2, "/sys/send.php", "id=7&phones=79001234567&mes=x&cost=1");
    ask(&mut stand, 2, "/sys/status.php", "id=7&phone=79001234567");
    assert_eq!(again(&stand), 0, "only asked");
    ask(&mut stand, 500, "/sys/send.php", offer);
    stand.treat(Manner::IsSilent, Some(1));
    assert_eq!(
        stand.answer(at(600), "/sys/send.php", format!("apikey=k&{offer}").as_bytes()),
        Reply::Silence
    );
    assert_eq!((again(&stand), stand.taken().count()), (2, 1));
}
