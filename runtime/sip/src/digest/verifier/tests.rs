use proptest::prelude::*;

use super::*;
use crate::digest::{Answer, Challenge, Credentials};

const REALM: &str = "zvonar";

struct Desk {
    verifier: Verifier,
    now: Instant,
    source: IpAddr,
}

fn digest(hash: Hash, user: &str, password: &str) -> String {
    hash.hex(format!("{user}:{REALM}:{password}").as_bytes())
}

impl Desk {
    fn new() -> Self {
        #[expect(clippy::disallowed_methods, reason = "any instant does to count from")]
        let now = Instant::now();
        let verifier = Verifier::new(REALM, [7; 32], Duration::from_secs(300));
        Self { verifier, now, source: "192.0.2.7".parse().unwrap() }
    }

    /// A phone that took the challenge of this algorithm.
    fn phone(&mut self, algorithm: &str) -> Answer {
        let offered = self.verifier.challenge(self.now, self.source, false);
        let wanted = offered
            .iter()
            .find(|value| value.contains(&format!("algorithm={},", algorithm.trim_end_matches("-sess"))));
        let value = wanted.expect("both are offered").replace(
            &format!("algorithm={},", algorithm.trim_end_matches("-sess")),
            &format!("algorithm={algorithm},"),
        );
        Answer::new(Challenge::parse(&value).expect("we can answer what we ask"), "c0ffee".into())
    }

    fn check(&mut self, header: &str, method: &str, uri: &str, password: Option<&str>) -> Verdict {
        let claim = Claim::find([header].into_iter(), REALM).expect("a claim");
        let digest = password.map(|password| digest(claim.hash(), claim.user(), password));
        self.verifier.check(self.now, self.source, &claim, method, uri, digest.as_deref())
    }
}

fn anna(password: &str) -> Credentials {
    Credentials { username: "north.anna".into(), password: password.into() }
}

const ALGORITHMS: [&str; 4] = ["SHA-256", "MD5", "SHA-256-sess", "MD5-sess"];

proptest! {
    #[test]
    fn no_text_makes_the_reader_of_claims_panic(
        text in "(Digest )?([ -~éя]|username=|realm=\"zvonar\"|nonce=|uri=|response=|,|\"){0,60}",
    ) {
        let mut desk = Desk::new();
        if let Some(claim) = Claim::find([text.as_str()].into_iter(), REALM) {
            let verdict = desk.verifier.check(desk.now, desk.source, &claim, "REGISTER", "sip:zvonar", None);
            prop_assert_ne!(verdict, Verdict::Proved);
        }
    }

    #[test]
    fn what_our_own_client_answers_is_proof_exactly_for_the_right_password(
        user in "[a-z.]{1,20}",
        password in "[ -~]{0,30}",
        said in "[ -~]{0,30}",
        which in 0_usize..4,
        wait in 0_u64..300,
    ) {
        let mut desk = Desk::new();
        let mut phone = desk.phone(ALGORITHMS[which]);
        desk.now += Duration::from_secs(wait);
        let header = phone.header(&Credentials { username: user, password: said.clone() }, "REGISTER", "sip:zvonar", b"");
        let expected = if said == password { Verdict::Proved } else { Verdict::Wrong };
        prop_assert_eq!(desk.check(&header, "REGISTER", "sip:zvonar", Some(&password)), expected);
    }

    #[test]
    fn a_header_with_one_letter_changed_proves_nothing(at in 0_usize..400, letter in b'!'..b'~') {
        let mut desk = Desk::new();
        let header = desk.phone("SHA-256").header(&anna("p"), "REGISTER", "sip:zvonar", b"");
        let mut bytes = header.clone().into_bytes();
        let at = at % bytes.len();
        bytes[at] = letter;
        let changed = String::from_utf8(bytes).unwrap();
        prop_assume!(!changed.eq_ignore_ascii_case(&header));
        if let Some(claim) = Claim::find([changed.as_str()].into_iter(), REALM) {
            let known = (claim.user() == "north.anna").then(|| digest(claim.hash(), "north.anna", "p"));
            let verdict =
                desk.verifier.check(desk.now, desk.source, &claim, "REGISTER", "sip:zvonar", known.as_deref());
            // The letters between the values may change without changing what is said.
            let says_the_same = Claim::find([header.as_str()].into_iter(), REALM).unwrap() == claim;
            prop_assert!(verdict != Verdict::Proved || says_the_same, "{changed}");
        }
    }
}

#[test]
fn a_request_that_was_overheard_proves_nothing_the_second_time() {
    for algorithm in ALGORITHMS {
        let mut desk = Desk::new();
        let mut phone = desk.phone(algorithm);
        let mut say = || phone.header(&anna("p"), "REGISTER", "sip:zvonar", b"");
        let (first, second, third) = (say(), say(), say());
        assert_eq!(desk.check(&first, "REGISTER", "sip:zvonar", Some("p")), Verdict::Proved);
        assert_eq!(desk.check(&first, "REGISTER", "sip:zvonar", Some("p")), Verdict::Stale, "replayed");
        assert_eq!(desk.check(&third, "REGISTER", "sip:zvonar", Some("p")), Verdict::Proved);
        assert_eq!(desk.check(&second, "REGISTER", "sip:zvonar", Some("p")), Verdict::Stale, "out of order");
    }
}

#[test]
fn an_answer_is_good_for_its_own_method_uri_user_and_address_only() {
    let mut desk = Desk::new();
    let mut phone = desk.phone("MD5");
    let mut say = || phone.header(&anna("p"), "REGISTER", "sip:zvonar", b"");
    assert_eq!(desk.check(&say(), "INVITE", "sip:zvonar", Some("p")), Verdict::Wrong);
    assert_eq!(desk.check(&say(), "REGISTER", "sip:other", Some("p")), Verdict::Wrong);
    assert_eq!(
        desk.check(&say().replace("north.anna", "north.boris"), "REGISTER", "sip:zvonar", Some("p")),
        Verdict::Wrong
    );
    assert_eq!(desk.check(&say(), "REGISTER", "sip:zvonar", None), Verdict::Wrong, "nobody of this name");
    let header = say();
    desk.source = "192.0.2.8".parse().unwrap();
    assert_eq!(
        desk.check(&header, "REGISTER", "sip:zvonar", Some("p")),
        Verdict::Stale,
        "somebody else's nonce"
    );
}

#[test]
fn nonces_expire_and_cannot_be_made_up_or_kept_young() {
    let mut desk = Desk::new();
    let header = desk.phone("SHA-256").header(&anna("p"), "REGISTER", "sip:zvonar", b"");
    desk.now += Duration::from_secs(301);
    assert_eq!(desk.check(&header, "REGISTER", "sip:zvonar", Some("p")), Verdict::Stale);
    // A younger time in it, an empty one, one of another process.
    let start = header.find("nonce=\"").unwrap() + 7;
    let nonce = &header[start..start + NONCE];
    for other in
        [format!("00000000000493e0{}", &nonce[16..]), String::new(), "0".repeat(NONCE), "é".repeat(NONCE / 2)]
    {
        let forged = header.replace(nonce, &other);
        assert_eq!(desk.check(&forged, "REGISTER", "sip:zvonar", Some("p")), Verdict::Stale, "{other}");
    }
    let asked = desk.verifier.challenge(desk.now, desk.source, true);
    assert!(
        asked.iter().all(|value| value.ends_with(", stale=true")) && asked[0].contains("SHA-256"),
        "{asked:?}"
    );
}

#[test]
fn without_a_count_there_is_no_proof() {
    let mut desk = Desk::new();
    let [_, md5] = desk.verifier.challenge(desk.now, desk.source, false);
    // As a client of RFC 2069 would answer it.
    let challenge = Challenge::parse(&md5.replace(", qop=\"auth\"", "")).unwrap();
    let header = Answer::new(challenge, "c".into()).header(&anna("p"), "REGISTER", "sip:zvonar", b"");
    assert_eq!(desk.check(&header, "REGISTER", "sip:zvonar", Some("p")), Verdict::Wrong);
}

#[test]
fn a_full_table_makes_the_oldest_nonces_stale_and_forgets_no_count() {
    let mut desk = Desk::new();
    desk.verifier.capacity = 10;
    let mut phones: Vec<Answer> = (0..30).map(|_| desk.phone("MD5")).collect();
    let mut said = Vec::new();
    for phone in &mut phones {
        let header = phone.header(&anna("p"), "REGISTER", "sip:zvonar", b"");
        assert_eq!(desk.check(&header, "REGISTER", "sip:zvonar", Some("p")), Verdict::Proved);
        said.push(header);
        assert!(desk.verifier.remembered() <= 10);
    }
    for header in &said {
        assert_eq!(desk.check(header, "REGISTER", "sip:zvonar", Some("p")), Verdict::Stale, "replayed");
    }
    let next = |phone: &mut Answer| phone.header(&anna("p"), "REGISTER", "sip:zvonar", b"");
    assert_eq!(desk.check(&next(&mut phones[0]), "REGISTER", "sip:zvonar", Some("p")), Verdict::Stale);
    assert_eq!(desk.check(&next(&mut phones[29]), "REGISTER", "sip:zvonar", Some("p")), Verdict::Proved);
    desk.now += Duration::from_secs(301);
    let fresh = desk.phone("MD5").header(&anna("p"), "REGISTER", "sip:zvonar", b"");
    assert_eq!(desk.check(&fresh, "REGISTER", "sip:zvonar", Some("p")), Verdict::Proved);
    assert_eq!(desk.verifier.remembered(), 1, "what expired is forgotten");
}

#[test]
fn headers_that_are_no_claims_are_passed_over() {
    for value in [
        "",
        "Digest",
        "Basic dXNlcjpwYXNz",
        r#"Digest username="u", realm="other", nonce="n", uri="u", response="r""#,
        r#"Digest username="u", realm="zvonar", nonce="n", uri="u""#,
        r#"Digest username="u", realm="zvonar", nonce="n", uri="u", response="r", algorithm=SHA-512"#,
        r#"Digest username="u, realm="zvonar""#,
    ] {
        assert_eq!(Claim::find([value].into_iter(), REALM), None, "{value}");
    }
    let long = format!(
        r#"Digest username="{}", realm="zvonar", nonce="n", uri="u", response="r""#,
        "u".repeat(3000)
    );
    assert_eq!(Claim::find([long.as_str()].into_iter(), REALM), None);
}

#[test]
fn debug_output_hides_what_would_help_a_thief() {
    let mut desk = Desk::new();
    let header = desk.phone("MD5").header(&anna("p"), "REGISTER", "sip:zvonar", b"");
    let claim = Claim::find([header.as_str()].into_iter(), REALM).unwrap();
    assert!(!format!("{claim:?}").contains(&claim.response) && !format!("{:?}", desk.verifier).contains('7'));
}
