//! `[[tenant.webhook]]`: whom a tenant's own programs are told by.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use zvonar_dialer::hooks::{EventKind, Hook, HookName};
use zvonar_gateways::Trust;
use zvonar_gateways::smsc::{Patience, Secret};
use zvonar_gateways::webhook::{AT_ONCE, EndpointSettings, PATIENCE};

use super::NAME;
use super::reader::Section;

/// A webhook of the configuration.
#[derive(Debug, Clone)]
pub(crate) struct Webhook {
    pub(crate) hook: Hook,
    pub(crate) endpoint: EndpointSettings,
}

/// The webhooks of a tenant.
pub(super) fn webhooks(tenant: &mut Section<'_>, folder: &Path) -> Vec<Webhook> {
    let mut names = BTreeSet::new();
    let mut webhooks = Vec::new();
    for section in tenant.sections("webhook") {
        if let Some(webhook) = webhook(&section, folder) {
            if !names.insert(webhook.hook.name.clone()) {
                let name = &webhook.hook.name;
                section.fault("name", format!("`{name}` stands here a second time; names must differ"));
            }
            webhooks.push(webhook);
        }
        section.finish();
    }
    webhooks
}

fn webhook(section: &Section<'_>, folder: &Path) -> Option<Webhook> {
    let name: Option<HookName> = section.needed_text("name", NAME);
    let url: Option<String> =
        section.needed_text("url", "where events are posted, as https://example.org/zvonar");
    let events = section.texts::<EventKind>("events", &EventKind::ALL.map(EventKind::word).join(", "));
    let at_once = section.number("at_once", 1..=16, AT_ONCE as i64).unsigned_abs();
    let days = section.number("keep_days", 1..=365, 7).unsigned_abs();
    let answer = section.number("answer_s", 1..=60, PATIENCE.answer.as_secs() as i64).unsigned_abs();
    let recordings: Option<String> =
        section.text("recordings_url", "where the recordings can be had, as https://example.org/recordings/");
    let authorities: Option<PathBuf> = section
        .text("authorities", "a file of certificate authorities to trust instead of the machine's, as PEM");
    let trust = match authorities.map(|file| std::fs::read(folder.join(file))) {
        None => Trust::Machine,
        Some(Ok(pem)) => Trust::Pem(pem),
        Some(Err(why)) => {
            section.fault("authorities", format!("the file cannot be read: {why}"));
            Trust::Machine
        }
    };
    let secret = secret(section, "secret", "secret_file", folder);
    if secret.is_none() && !section.has("secret") && !section.has("secret_file") {
        section.fault("secret", "a webhook signs what it sends: give it `secret` or `secret_file`");
    }
    let old = self::secret(section, "old_secret", "old_secret_file", folder);
    let (name, url, secret) = (name?, url?, secret?);
    let patience = Patience { answer: Duration::from_secs(answer), ..PATIENCE };
    let secrets = std::iter::once(secret).chain(old).collect();
    let endpoint = EndpointSettings { name: name.to_string(), url, secrets, trust, patience };
    if let Err(why) = endpoint.check_url() {
        section.fault("url", why);
    }
    if let Err(why) = endpoint.check_secrets() {
        section.fault("secret", why);
    }
    let shown_url = endpoint.url.split('?').next().unwrap_or_default().to_owned();
    let events = if section.has("events") { events.into_iter().collect() } else { EventKind::ALL.into() };
    let kept = Duration::from_secs(days * 24 * 3600);
    let hook = Hook { name, shown_url, events, at_once: at_once as usize, kept, recordings };
    Some(Webhook { hook, endpoint })
}

/// A secret that stands here, or in a file of its own, where fewer people see it.
fn secret(section: &Section<'_>, key: &'static str, file_key: &'static str, folder: &Path) -> Option<Secret> {
    let here: Option<String> = section.text(key, "a text of 16 characters and more");
    let file: Option<PathBuf> = section.text(file_key, "a file that holds the secret and nothing else");
    let (key, text) = match (here, file) {
        (Some(_), Some(_)) => {
            section
                .fault(file_key, format!("`{key}` and `{file_key}` do not go together; one of them must go"));
            return None;
        }
        (Some(text), None) => (key, text),
        (None, Some(file)) => match std::fs::read_to_string(folder.join(file)) {
            Ok(text) => (file_key, text),
            Err(why) => {
                section.fault(file_key, format!("the file cannot be read: {why}"));
                return None;
            }
        },
        (None, None) => return None,
    };
    Secret::new(text.trim()).map_err(|why| section.fault(key, why)).ok()
}
