//! Callers are handed to operators with real telephones and to external numbers: what everybody hears, what becomes of the
//! call, and what it costs.

mod outcomes;
mod talks;
mod turns;

use std::{net::SocketAddr, time::Duration};

use zvonar_tests::{
    capture::{self, Capture, Packet},
    office::Office,
    sipp::Sipp,
};

/// How long anything may take that is to happen now, on a machine that has other things to do.
const LIMIT: Duration = Duration::from_secs(30);

/// A telephone of an operator, registered, that does not pick up: `tests/data/sipp/NAME.xml`, once.
fn stubborn(office: &Office, operator: &str, name: &str, status: &str) -> Option<Sipp> {
    let (user, password) = office.account(operator);
    let address: SocketAddr = office.free_address();
    let folder = office.folder().join(operator);
    let values = [("user", user.as_str()), ("password", password.as_str())];
    let register = Sipp::call(address, office.config.listen, &folder, "register", &values, false).unwrap()?;
    register.finish(LIMIT).unwrap_or_else(|why| panic!("{why}\n{}", office.output()));
    Sipp::answer_at(address, &folder, name, &[("status", status)], false).unwrap()
}

/// Looks at the wire from here on. `None`: nobody may here, which has been said aloud.
fn watch(office: &Office) -> Option<Capture> {
    Capture::start(&office.config, office.folder()).unwrap()
}

/// Nothing that crossed the wire may be against the rules. Gives the sound that the host has sent.
fn judge(capture: Option<Capture>) -> Option<Vec<Packet>> {
    let captured = capture?.stop().unwrap();
    let (messages, packets) = (captured.messages().unwrap(), captured.sent().unwrap());
    assert!(messages.len() > 8 && packets.len() > 100, "{} and {}", messages.len(), packets.len());
    assert_eq!(captured.faults().unwrap(), [] as [String; 0]);
    assert_eq!(capture::sip_faults(&messages), [] as [String; 0]);
    assert_eq!(capture::rtp_faults(&packets), [] as [String; 0]);
    assert_eq!(capture::after_the_end(&messages, &packets), [] as [String; 0]);
    Some(packets)
}
