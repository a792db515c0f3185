//! `zvonar smsc-stand`: a pretend SMSC, for demonstrations and tests.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use zvonar_gateways::smsc::{Account, Secret};
use zvonar_gateways::stand::{self, Manner, StandSettings};
use zvonar_model::Kopecks;
use zvonar_switch::clock;

use super::Failure;

/// How often what was taken is printed.
const LOOK: Duration = Duration::from_millis(50);

/// What `zvonar smsc-stand` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8085")]
    listen: SocketAddr,
    /// The account's name; without it and --key anybody is let in.
    #[arg(long, value_name = "NAME", requires = "password")]
    login: Option<String>,
    /// Its password.
    #[arg(
        long,
        value_name = "WORD",
        requires = "login",
        env = "ZVONAR_STAND_PASSWORD",
        hide_env_values = true
    )]
    password: Option<String>,
    /// The account's key, instead of both.
    #[arg(long, value_name = "KEY", conflicts_with = "login")]
    key: Option<String>,
    /// What is on the account, in kopecks.
    #[arg(long, value_name = "KOPECKS", default_value_t = 10_000)]
    balance: i64,
    /// The price of a part, in kopecks.
    #[arg(long, value_name = "KOPECKS", default_value_t = 180)]
    price: u32,
    /// How long an answer takes once a question was heard, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 0)]
    delay_ms: u64,
    /// Where to tell what became of messages, by POST.
    #[arg(long, value_name = "URL", requires = "secret")]
    callback: Option<String>,
    /// The secret word that such news is signed with.
    #[arg(long, value_name = "WORD", env = "ZVONAR_STAND_SECRET", hide_env_values = true)]
    secret: Option<String>,
    /// How to treat all questions: an error from 1 to 9, or a name of the list below.
    #[arg(long, value_name = "MANNER", value_parser = Manner::named, default_value = "answers")]
    manner: Manner,
}

/// What else there is to know, for the help.
pub(crate) fn table() -> String {
    let names = Manner::NAMES.map(|(name, _)| name).join(", ");
    format!(
        "Nothing is sent to anybody. What is taken is printed, a JSON object a line.\n\
         The last two digits of a number say what becomes of its message: 07 and 08 are refused (errors 7 and 8), 03\n\
         expires, 20 cannot be delivered, all others are delivered within four seconds.\n\
         Manners: 1 to 9 (SMSC's errors; up to 99, which it does not have), {names}.\n\
         While it runs: curl -X POST 'http://127.0.0.1:8085/stand/manner?manner=3&times=1' refuses one question,\n\
         …/stand/manner?manner=10&phone=79001234567 every message to that number, until `manner=answers`;\n\
         curl http://127.0.0.1:8085/stand/messages shows all messages, where they are, and how often each was offered again."
    )
}

pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    let account = match (arguments.login, arguments.password, arguments.key) {
        (Some(login), Some(password), _) => Some(Account::Login { login, password: Secret::new(&password)? }),
        (_, _, Some(key)) => Some(Account::Key(Secret::new(&key)?)),
        _ => None,
    };
    let settings = StandSettings {
        account,
        balance: Kopecks(arguments.balance),
        price: Kopecks(arguments.price.into()),
        answers_after: Duration::from_millis(arguments.delay_ms),
        secret: arguments.secret.as_deref().map(Secret::new).transpose()?,
        ..StandSettings::default()
    };
    super::runtime(1)?.block_on(async {
        let callback = arguments.callback.as_deref();
        let running = stand::serve(arguments.listen, settings, callback, Arc::new(clock::wall)).await?;
        running.with(|stand| stand.treat(arguments.manner, None));
        eprintln!("the stand is listening on http://{}", running.address());
        let mut ticks = tokio::time::interval(LOOK);
        let mut shown = 0;
        let stop = super::stop_signal();
        tokio::pin!(stop);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                signal = &mut stop => return Ok(signal?),
            }
            for taken in running.with(|stand| stand.taken_after(shown).cloned().collect::<Vec<_>>()) {
                shown += 1;
                super::say(serde_json::to_string(&taken)?)?;
            }
        }
    })
}
