use super::*;

fn response(challenge: &str, cnonce: &str, password: &str, method: &str, uri: &str, body: &str) -> String {
    let challenge = Challenge::parse(challenge).expect("a challenge that we can answer");
    let credentials = Credentials { username: "Mufasa".into(), password: password.into() };
    let value = Answer::new(challenge, cnonce.into()).header(&credentials, method, uri, body.as_bytes());
    let start = value.find("response=\"").expect("a response") + "response=\"".len();
    value[start..].split('"').next().unwrap().to_owned()
}

#[test]
fn the_example_of_rfc_2617_comes_out() {
    let challenge = r#"Digest realm="testrealm@host.com", qop="auth,auth-int",
        nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", opaque="5ccc069c403ebaf9f0171e9517f40e41""#;
    assert_eq!(
        response(challenge, "0a4f113b", "Circle Of Life", "GET", "/dir/index.html", ""),
        "6629fae49393a05397450978507c4ef1"
    );
}

#[test]
fn the_examples_of_rfc_7616_come_out() {
    let table = [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ];
    for (algorithm, expected) in table {
        let challenge = format!(
            r#"Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm={algorithm}, nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS""#
        );
        let cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
        assert_eq!(response(&challenge, cnonce, "Circle of Life", "GET", "/dir/index.html", ""), expected);
    }
}

#[test]
fn sessions_bodies_and_the_oldest_form_are_answered() {
    // Worked out step by step with the formulas of RFC 7616 §3.4, apart from the code under test.
    let hash = |text: &str| Hash::Md5.hex(text.as_bytes());
    let user = hash("Mufasa:r:p");
    let challenge = r#"Digest realm="r", nonce="n", algorithm=MD5-sess, qop="auth""#;
    let secret = hash(&format!("{user}:n:c"));
    let covered = hash("INVITE:sip:b");
    let expected = hash(&format!("{secret}:n:00000001:c:auth:{covered}"));
    assert_eq!(response(challenge, "c", "p", "INVITE", "sip:b", "body"), expected);

    let challenge = r#"Digest realm="r", nonce="n", qop="auth-int""#;
    let covered = hash(&format!("INVITE:sip:b:{}", hash("body")));
    let expected = hash(&format!("{user}:n:00000001:c:auth-int:{covered}"));
    assert_eq!(response(challenge, "c", "p", "INVITE", "sip:b", "body"), expected);

    let challenge = r#"Digest realm="r",nonce="n""#;
    let expected = hash(&format!("{user}:n:{}", hash("INVITE:sip:b")));
    assert_eq!(response(challenge, "c", "p", "INVITE", "sip:b", ""), expected);
}

#[test]
fn the_nonce_count_goes_up_with_each_request() {
    let challenge = Challenge::parse(r#"Digest realm="r", nonce="n", qop="auth""#).unwrap();
    let credentials = Credentials { username: "u".into(), password: "p".into() };
    let mut answer = Answer::new(challenge, "c".into());
    assert!(answer.header(&credentials, "INVITE", "sip:b", b"").contains("nc=00000001"));
    assert!(answer.header(&credentials, "BYE", "sip:b", b"").contains("nc=00000002"));
}

#[test]
fn quotes_in_realms_and_names_come_through() {
    let challenge =
        Challenge::parse(r#"Digest realm="a \"b\", c", nonce="n,=n", stale=TRUE, opaque="""#).unwrap();
    assert_eq!((challenge.realm.as_str(), challenge.nonce.as_str()), (r#"a "b", c"#, "n,=n"));
    assert!(challenge.stale);
    assert_eq!(challenge.opaque.as_deref(), Some(""));
    let credentials = Credentials { username: "u\"\r\nVia: x".into(), password: String::new() };
    let value = Answer::new(challenge, "c".into()).header(&credentials, "INVITE", "sip:b", b"");
    assert!(value.contains(r#"username="u\"  Via: x", realm="a \"b\", c""#), "{value}");
}

#[test]
fn challenges_that_nobody_can_answer_are_passed_over() {
    let unknown = [
        "NoOneKnowsThisScheme opaque-data=here",
        r#"Digest realm="r", nonce="n", algorithm=SHA-512-256"#,
        r#"Digest realm="r", nonce="n", qop="auth-conf""#,
        r#"Digest realm="r""#,
        "Digest",
        "",
    ];
    for value in unknown {
        assert_eq!(Challenge::parse(value), None, "{value}");
    }
    let known = r#"Digest realm="r", nonce="n", algorithm=sha-256"#;
    let first = Challenge::first(unknown.into_iter().chain([known])).unwrap();
    assert_eq!(first.algorithm.unwrap().hash, Hash::Sha256);
}

#[test]
fn debug_output_hides_the_password() {
    let credentials = Credentials { username: "u".into(), password: "hunter2".into() };
    assert!(!format!("{credentials:?}").contains("hunter2"));
}
