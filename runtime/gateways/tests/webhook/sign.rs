//! The signature: reckoned as receivers reckon it, and nothing else is believed.

use std::time::Duration;

use proptest::prelude::*;
use zvonar_gateways::smsc::Secret;
use zvonar_gateways::webhook::sign::{SignatureFault, TOLERANCE, sign, verify};
use zvonar_model::UnixMillis;

const NOW: UnixMillis = UnixMillis(1_772_445_600_123);

fn secret(text: &str) -> Secret {
    Secret::new(text).unwrap()
}

/// By another program: `hmac.new(secret.encode(), b"1772445600." + body, "sha256").hexdigest()` of Python. The last secret
/// is longer than a block of the hash.
#[test]
fn a_letter_is_signed_as_receivers_reckon_it() {
    let long = "длинный секрет, который не помещается в один блок хеша ".repeat(2);
    for (word, body, expected) in [
        (
            "0123456789abcdef",
            "{\"a\":\"ж\"}",
            "ba47ce0a9e9a7ebf6b558c9e32aab52c019fd43eb0b0a088c35c340ac34f190a",
        ),
        ("0123456789abcdef", "", "471efc9fb80fdf2d5c75aa15213f5f09743904c6b65125ef191adb403c7a7703"),
        (&long, "{}", "236f2ec8e259ad2b55cc95ee8632936fa47b7ae7a944da2f2578db95f2f78606"),
    ] {
        let header = sign(body.as_bytes(), &[secret(word)], NOW);
        assert_eq!(header, format!("t=1772445600,v1={expected}"));
    }
}

#[test]
fn while_a_secret_is_changed_both_sides_may_have_either() {
    let (old, new) = (secret("the old secret of the hook"), secret("the new secret of the hook"));
    let header = sign(b"{}", &[new.clone(), old.clone()], NOW);
    assert_eq!(header.matches("v1=").count(), 2);
    for known in [&old, &new] {
        assert_eq!(verify(&header, b"{}", std::slice::from_ref(known), NOW), Ok(()));
    }
    let header = sign(b"{}", std::slice::from_ref(&old), NOW);
    assert_eq!(verify(&header, b"{}", &[new, old], NOW), Ok(()));
}

#[test]
fn what_is_old_altered_or_malformed_is_not_believed() {
    let ours = [secret("the secret of the hook")];
    let good = sign(b"{}", &ours, NOW);
    let late = NOW.plus(TOLERANCE);
    let too_late = NOW.plus(TOLERANCE + Duration::from_secs(1));
    for (header, body, now, expected) in [
        (good.clone(), "{}", NOW, Ok(())),
        (format!(" {}, v2=zz", good.replace(',', " , ")), "{}", late, Ok(())),
        (good.clone(), "{}", too_late, Err(SignatureFault::Old)),
        (good.clone(), "{}", UnixMillis(NOW.0 - 301_000), Err(SignatureFault::Old)),
        (good.clone(), "{ }", NOW, Err(SignatureFault::Wrong)),
        (good.replace("t=1772445600", "t=1772445601"), "{}", NOW, Err(SignatureFault::Wrong)),
        (sign(b"{}", &[secret("another secret")], NOW), "{}", NOW, Err(SignatureFault::Wrong)),
        (good.replace("v1=", "v1=0"), "{}", NOW, Err(SignatureFault::Shape)),
        (good.replace("v1=", "v0="), "{}", NOW, Err(SignatureFault::Shape)),
        (good.replace("t=", "t=x"), "{}", NOW, Err(SignatureFault::Shape)),
        (good.replace("t=1772445600,", ""), "{}", NOW, Err(SignatureFault::Shape)),
        ("t=9223372036854775807,v1=00".into(), "{}", NOW, Err(SignatureFault::Shape)),
        (String::new(), "{}", NOW, Err(SignatureFault::Shape)),
    ] {
        assert_eq!(verify(&header, body.as_bytes(), &ours, now), expected, "{header} {body}");
    }
}

proptest! {
    #[test]
    fn no_header_is_believed_without_the_secret(header: String, body: Vec<u8>, time: i64) {
        let ours = [secret("the secret of the hook")];
        prop_assert!(verify(&header, &body, &ours, UnixMillis(time)).is_err());
    }

    #[test]
    fn what_is_signed_is_believed(body: Vec<u8>, time in 0_i64..4_000_000_000_000, word in "[!-~]{1,200}") {
        let ours = [secret(&word)];
        prop_assert_eq!(verify(&sign(&body, &ours, UnixMillis(time)), &body, &ours, UnixMillis(time)), Ok(()));
    }
}
