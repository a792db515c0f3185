//! The only place where keys are built: no caller can name another tenant's.

use zvonar_gateways::SmsId;
use zvonar_ledger::Month;
use zvonar_model::{AttemptId, LeadId, OperatorId, PhoneNumber, ProjectId, ScenarioName, TenantId};
use zvonar_store::{Key, Shard};

use super::stats::Scope;
use crate::Day;
use crate::hooks::HookName;
use crate::texts::TextId;

/// The keys of one tenant.
///
/// | key | what |
/// |---|---|
/// | `<tenant>.project.<project>` | a project |
/// | `<tenant>.lead.<project>.<lead>` | a lead in a project |
/// | `<tenant>.quota.active` | which projects are active |
/// | `<tenant>.lease.<project>` | which run of the program dials a project |
/// | `<tenant>.intent.<attempt>` | an attempt that is under way |
/// | `<tenant>.waits.<attempt>` | in a call that is under way, somebody wants a person and has none |
/// | `<tenant>.call.<attempt>` | a finished attempt: its record |
/// | `<tenant>.charge.<attempt>` | what it costs; also the journal that the balance is folded from |
/// | `<tenant>.step.<id>` | the journal of what happened to leads: counts and reports are folded from it |
/// | `<tenant>.stat.<project>.total` | what was folded from the steps of a project; `=` for calls of none, `=2a` for all |
/// | `<tenant>.stat.<project>.<day>` | the same of one day, Moscow time |
/// | `<tenant>.fold.steps` | how far the steps are folded |
/// | `<tenant>.orphan.<attempt>` | the true report of an attempt that was given up before it came |
/// | `<tenant>.blocked.<number>` | a number never to call |
/// | `<tenant>.person.<number>` | when a number was called in the last month, by all projects |
/// | `<tenant>.consent.<id>` | the journal of consents: what was said about being called |
/// | `<tenant>.consented.<number>` | where a number stands: the fold of what was said |
/// | `<tenant>.balance.total` | the fold of the charges |
/// | `<tenant>.payment.<id>` | a payment of a prepaid tenant |
/// | `<tenant>.balance.paid` | the fold of the payments |
/// | `<tenant>.hook.at.<hook>` | a webhook |
/// | `<tenant>.hook.cursor.<hook>` | how far the steps are folded for it |
/// | `<tenant>.hook.queue.<hook>.<event>` | what it is to be told, in the order of the revisions |
/// | `<tenant>.hook.try.<hook>.<event>` | how often that was not taken |
/// | `<tenant>.hook.done.<hook>.<event>` | what it was told; `lost`: what was given up |
/// | `<tenant>.fee.<month>=<operator>` | the subscription fee of an operator's place |
/// | `<tenant>.balance.fees` | the fold of the fees |
/// | `<tenant>.sms.<attempt>=<n>` | the n-th text message of an attempt: what was decided; the journal of them |
/// | `<tenant>.smsopen.<attempt>=<n>` | where it is, as long as something is to be done about it |
/// | `<tenant>.smsdone.<attempt>=<n>` | the same from then on |
/// | `<tenant>.smsnumber.<number>` | which message the gateway knows by this number |
/// | `<tenant>.charge.<attempt>=sms=<n>` | what it costs, in the journal of charges |
/// | `<tenant>.outbox.state` | whether messages may go out, and how many did today |
/// | `<tenant>.texted.<number>` | how many messages somebody got today |
/// | `=sms.<account>.numbers` | the numbers that messages of an account at a gateway had, whosever they were |
/// | `<tenant>.deployment.<scenario>` | which versions of a scenario are in use |
/// | `<tenant>.release.<scenario>.<number>` | one version; its archive is a blob |
/// | `<tenant>.operator.<operator>` | an operator |
/// | `<tenant>.quota.operators` | the roster: who there is, by which extension |
/// | `<tenant>.presence.<operator>` | what outlives the program of an operator's presence |
/// | `<tenant>.verdict.<attempt>` | what an operator said came of a talk |
#[derive(Debug, Clone)]
pub struct TenantKeys {
    root: Key,
    shard: Shard,
}

impl TenantKeys {
    /// The keys of this tenant.
    pub fn new(tenant: &TenantId) -> Self {
        Self { root: Key::root(tenant.as_str()), shard: Shard::of(tenant.as_str()) }
    }

    /// The shard that holds all that is the tenant's.
    pub fn shard(&self) -> Shard {
        self.shard
    }

    pub(crate) fn projects(&self) -> Key {
        self.root.then("project")
    }

    pub(crate) fn project(&self, project: &ProjectId) -> Key {
        self.projects().then(project.as_str())
    }

    pub(crate) fn quota(&self) -> Key {
        self.root.then("quota").then("active")
    }

    pub(crate) fn leases(&self) -> Key {
        self.root.then("lease")
    }

    pub(crate) fn lease(&self, project: &ProjectId) -> Key {
        self.leases().then(project.as_str())
    }

    pub(crate) fn leads(&self, project: &ProjectId) -> Key {
        self.root.then("lead").then(project.as_str())
    }

    pub(crate) fn lead(&self, project: &ProjectId, lead: &LeadId) -> Key {
        self.leads(project).then(lead.as_str())
    }

    pub(crate) fn intents(&self) -> Key {
        self.root.then("intent")
    }

    pub(crate) fn intent(&self, attempt: &AttemptId) -> Key {
        self.intents().then(attempt.as_str())
    }

    pub(crate) fn all_waits(&self) -> Key {
        self.root.then("waits")
    }

    pub(crate) fn waits(&self, attempt: &AttemptId) -> Key {
        self.all_waits().then(attempt.as_str())
    }

    pub(crate) fn calls(&self) -> Key {
        self.root.then("call")
    }

    pub(crate) fn call(&self, attempt: &AttemptId) -> Key {
        self.calls().then(attempt.as_str())
    }

    pub(crate) fn charges(&self) -> Key {
        self.root.then("charge")
    }

    pub(crate) fn charge(&self, attempt: &AttemptId) -> Key {
        self.charges().then(attempt.as_str())
    }

    pub(crate) fn fees(&self) -> Key {
        self.root.then("fee")
    }

    pub(crate) fn fee(&self, month: Month, operator: &OperatorId) -> Key {
        self.fees().then(&format!("{month}={operator}"))
    }

    pub(crate) fn fees_sum(&self) -> Key {
        self.root.then("balance").then("fees")
    }

    pub(crate) fn steps(&self) -> Key {
        self.root.then("step")
    }

    /// The step that an attempt is.
    pub(crate) fn attempt_step(&self, attempt: &AttemptId) -> Key {
        self.steps().then(attempt.as_str())
    }

    /// The step that leads were added, of which the first got this position: a position is given once. `=` is in no id,
    /// so this is no other step's key.
    pub(crate) fn added_step(&self, project: &ProjectId, position: u64) -> Key {
        self.steps().then(&format!("added={project}={position}"))
    }

    /// The position of the first lead that this step added, if it is one that adds.
    pub(crate) fn added_position(step: &Key) -> Option<u64> {
        // The token is encoded: see [`Key::then`].
        let mut parts = step.last().split("=3d");
        if parts.next() != Some("added") {
            return None;
        }
        parts.nth(1)?.parse().ok()
    }

    /// The step that a row which had this revision was changed or deleted. It had the revision once and lost it once, so
    /// this is no other step's key.
    pub(crate) fn changed_step(&self, what: &str, project: &ProjectId, revision: u64) -> Key {
        self.steps().then(&format!("{what}={project}={revision}"))
    }

    /// The step that an operator gave a call a result. `revision`: that of the result's row before it; 0 for the first.
    pub fn judged_step(&self, attempt: &AttemptId, revision: u64) -> Key {
        self.steps().then(&format!("judged={attempt}={revision}"))
    }

    /// How far the steps are folded.
    pub(crate) fn fold(&self) -> Key {
        self.root.then("fold").then("steps")
    }

    /// What is folded of some of the tenant's calls.
    pub(crate) fn stats(&self, scope: &Scope) -> Key {
        let stats = self.root.then("stat");
        // Neither is a project's token.
        match scope {
            Scope::Project(project) => stats.then(project.as_str()),
            Scope::Outside => stats.then(""),
            Scope::All => stats.then("*"),
        }
    }

    pub(crate) fn stat_total(&self, scope: &Scope) -> Key {
        self.stats(scope).then("total")
    }

    pub(crate) fn stat_day(&self, scope: &Scope, day: Day) -> Key {
        self.stats(scope).then(&day.to_string())
    }

    /// Everything that is folded from steps.
    pub(crate) fn all_stats(&self) -> Key {
        self.root.then("stat")
    }

    pub(crate) fn orphans(&self) -> Key {
        self.root.then("orphan")
    }

    pub(crate) fn orphan(&self, attempt: &AttemptId) -> Key {
        self.orphans().then(attempt.as_str())
    }

    pub(crate) fn all_blocked(&self) -> Key {
        self.root.then("blocked")
    }

    pub(crate) fn blocked(&self, number: &PhoneNumber) -> Key {
        self.all_blocked().then(number.digits())
    }

    pub(crate) fn persons(&self) -> Key {
        self.root.then("person")
    }

    pub(crate) fn person(&self, number: &PhoneNumber) -> Key {
        self.persons().then(number.digits())
    }

    pub(crate) fn consent_journal(&self) -> Key {
        self.root.then("consent")
    }

    pub(crate) fn consent(&self, event: &str) -> Key {
        self.consent_journal().then(event)
    }

    pub(crate) fn all_consented(&self) -> Key {
        self.root.then("consented")
    }

    pub(crate) fn consented(&self, number: &PhoneNumber) -> Key {
        self.all_consented().then(number.digits())
    }

    pub(crate) fn payments(&self) -> Key {
        self.root.then("payment")
    }

    pub(crate) fn payment(&self, id: &str) -> Key {
        self.payments().then(id)
    }

    pub(crate) fn paid(&self) -> Key {
        self.root.then("balance").then("paid")
    }

    pub(crate) fn balance(&self) -> Key {
        self.root.then("balance").then("total")
    }

    /// The hooks that the tenant has.
    pub(crate) fn hooks(&self) -> Key {
        self.root.then("hook").then("at")
    }

    pub(crate) fn hook(&self, hook: &HookName) -> Key {
        self.hooks().then(hook.as_str())
    }

    pub(crate) fn hook_cursor(&self, hook: &HookName) -> Key {
        self.root.then("hook").then("cursor").then(hook.as_str())
    }

    /// A hook's letters that wait, a journal by their events' ids; so are the three below.
    pub(crate) fn hook_queue(&self, hook: &HookName) -> Key {
        self.root.then("hook").then("queue").then(hook.as_str())
    }

    pub(crate) fn hook_tries(&self, hook: &HookName) -> Key {
        self.root.then("hook").then("try").then(hook.as_str())
    }

    pub(crate) fn hook_done(&self, hook: &HookName) -> Key {
        self.root.then("hook").then("done").then(hook.as_str())
    }

    pub(crate) fn hook_lost(&self, hook: &HookName) -> Key {
        self.root.then("hook").then("lost").then(hook.as_str())
    }

    /// The journal of text messages that were decided.
    pub(crate) fn texts(&self) -> Key {
        self.root.then("sms")
    }

    pub(crate) fn text(&self, id: &TextId) -> Key {
        self.texts().then(&text_token(id))
    }

    pub(crate) fn open_texts(&self) -> Key {
        self.root.then("smsopen")
    }

    pub(crate) fn open_text(&self, id: &TextId) -> Key {
        self.open_texts().then(&text_token(id))
    }

    pub(crate) fn done_text(&self, id: &TextId) -> Key {
        self.root.then("smsdone").then(&text_token(id))
    }

    /// The message that a key of [`TenantKeys::texts`] or [`TenantKeys::open_texts`] is of.
    pub(crate) fn text_of(key: &Key) -> Option<TextId> {
        // The token is encoded: see [`Key::then`].
        let (attempt, ordinal) = key.last().split_once("=3d")?;
        Some(TextId { attempt: AttemptId::new(attempt).ok()?, ordinal: ordinal.parse().ok()? })
    }

    pub(crate) fn text_number(&self, number: SmsId) -> Key {
        self.root.then("smsnumber").then(&number.to_string())
    }

    /// `=` is in no id, so this is no attempt's own charge.
    pub(crate) fn text_charge(&self, id: &TextId) -> Key {
        self.charges().then(&format!("{}=sms={}", id.attempt, id.ordinal))
    }

    /// The message that a charge is of, if it is of one.
    pub(crate) fn charged_text(charge: &Key) -> Option<TextId> {
        let (attempt, ordinal) = charge.last().split_once("=3dsms=3d")?;
        Some(TextId { attempt: AttemptId::new(attempt).ok()?, ordinal: ordinal.parse().ok()? })
    }

    /// The n-th step of a message.
    pub(crate) fn text_step(&self, id: &TextId, nth: u32) -> Key {
        self.steps().then(&format!("text={}={}={nth}", id.attempt, id.ordinal))
    }

    pub(crate) fn outboxes(&self) -> Key {
        self.root.then("outbox")
    }

    pub(crate) fn outbox(&self) -> Key {
        self.outboxes().then("state")
    }

    pub(crate) fn texted(&self, number: &PhoneNumber) -> Key {
        self.root.then("texted").then(number.digits())
    }

    /// The counter of an account at a gateway, which may be several tenants': it is nobody's own, and no tenant's name
    /// begins like this.
    pub(crate) fn account_numbers(account: &str) -> (Shard, Key) {
        (Shard::of(account), Key::root("=sms").then(account).then("numbers"))
    }

    pub(crate) fn deployments(&self) -> Key {
        self.root.then("deployment")
    }

    pub(crate) fn deployment(&self, scenario: &ScenarioName) -> Key {
        self.deployments().then(scenario.as_str())
    }

    pub(crate) fn releases(&self, scenario: &ScenarioName) -> Key {
        self.root.then("release").then(scenario.as_str())
    }

    pub(crate) fn release(&self, scenario: &ScenarioName, number: u32) -> Key {
        self.releases(scenario).then(&format!("{number:08}"))
    }

    pub(crate) fn operators(&self) -> Key {
        self.root.then("operator")
    }

    pub(crate) fn operator(&self, operator: &OperatorId) -> Key {
        self.operators().then(operator.as_str())
    }

    pub(crate) fn roster(&self) -> Key {
        self.root.then("quota").then("operators")
    }

    pub(crate) fn presences(&self) -> Key {
        self.root.then("presence")
    }

    pub(crate) fn presence(&self, operator: &OperatorId) -> Key {
        self.presences().then(operator.as_str())
    }

    pub(crate) fn verdict(&self, attempt: &AttemptId) -> Key {
        self.root.then("verdict").then(attempt.as_str())
    }
}

fn text_token(id: &TextId) -> String {
    format!("{}={}", id.attempt, id.ordinal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_position_of_an_added_step_is_read_back_from_its_key() {
        let keys = TenantKeys::new(&TenantId::new("acme").unwrap());
        let project = ProjectId::new("spring-3d_9").unwrap();
        assert_eq!(TenantKeys::added_position(&keys.added_step(&project, 90)), Some(90));
        assert_eq!(TenantKeys::added_position(&keys.changed_step("edited", &project, 7)), None);
        let attempt = AttemptId::new("added").unwrap();
        assert_eq!(TenantKeys::added_position(&keys.attempt_step(&attempt)), None);
    }

    #[test]
    fn a_message_is_read_back_from_its_keys_and_is_no_attempts_charge() {
        let keys = TenantKeys::new(&TenantId::new("acme").unwrap());
        let attempt = AttemptId::new("sms-3d_9").unwrap();
        let id = TextId { attempt: attempt.clone(), ordinal: 12 };
        assert_eq!(TenantKeys::text_of(&keys.open_text(&id)), Some(id.clone()));
        assert_eq!(TenantKeys::charged_text(&keys.text_charge(&id)), Some(id));
        assert_eq!(TenantKeys::charged_text(&keys.charge(&attempt)), None);
    }

    #[test]
    fn no_key_of_one_tenant_lies_below_another_tenants() {
        let keys = |tenant| TenantKeys::new(&TenantId::new(tenant).unwrap());
        let project = ProjectId::new("p").unwrap();
        for (one, other) in [("a", "ab"), ("a", "a-b"), ("a", "A"), ("lead", "a")] {
            assert!(!keys(other).leads(&project).is_below(&keys(one).root));
            assert_ne!(keys(one).project(&project), keys(other).project(&project));
        }
    }
}
