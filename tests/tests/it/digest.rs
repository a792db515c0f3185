//! RFC 7616 from the other side: whether an answer to a challenge is right. Written apart from the runtime's own digest,
//! so that a mistake in that one cannot hide here.

use md5::{Digest, Md5};
use zvonar_tests::machine;

/// Checks a `Proxy-Authorization` or `Authorization` value; the error says what is wrong with it.
pub(crate) fn check(value: &str, method: &str, username: &str, password: &str) -> Result<(), String> {
    let value = value.strip_prefix("Digest ").ok_or("it is no Digest")?;
    let part = |name: &str| {
        value
            .split(',')
            .filter_map(|part| part.split_once('='))
            .find(|(found, _)| found.trim().eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim().trim_matches('"'))
            .ok_or_else(|| format!("`{name}` is missing in {value}"))
    };
    if part("username")? != username {
        return Err(format!("it is somebody else's: {value}"));
    }
    let first = hash(&format!("{username}:{}:{password}", part("realm")?));
    let second = hash(&format!("{method}:{}", part("uri")?));
    let right = match part("qop") {
        Ok(qop) => {
            hash(&format!("{first}:{}:{}:{}:{qop}:{second}", part("nonce")?, part("nc")?, part("cnonce")?))
        }
        Err(_) => hash(&format!("{first}:{}:{second}", part("nonce")?)),
    };
    if part("response")? == right { Ok(()) } else { Err(format!("the response should be {right}: {value}")) }
}

fn hash(text: &str) -> String {
    hex::encode(Md5::digest(text.as_bytes()))
}

/// The example of RFC 7616 §3.9.1 and two ways to get it wrong.
#[test]
fn the_example_of_the_standard_is_right_and_its_neighbours_are_wrong() {
    let _machine = machine::shared();
    let value = "Digest username=\"Mufasa\", realm=\"http-auth@example.org\", uri=\"/dir/index.html\", \
         algorithm=MD5, nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", nc=00000001, \
         cnonce=\"f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ\", qop=auth, \
         response=\"8ca523f5e9506fed4657c9700eebdbec\", \
         opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\"";
    assert_eq!(check(value, "GET", "Mufasa", "Circle of Life"), Ok(()));
    assert!(check(value, "INVITE", "Mufasa", "Circle of Life").is_err());
    assert!(check(value, "GET", "Mufasa", "circle of life").is_err());
}
