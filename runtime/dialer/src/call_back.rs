//! «Добавить в проект и перезвонить по пропущенному»: a caller who wanted somebody and got nobody is added to a project, in
//! the commit that settles his call, so that it happens once whatever crashes.

use zvonar_campaign::{LeadState, Progress};
use zvonar_model::{AttemptRecord, LeadId, PhoneNumber};
use zvonar_store::Write;

use crate::leads::fitted;
use crate::tables::{Lead, Read, Step, Tables, encode};
use crate::{Effects, Result};

impl Tables {
    /// The writes by which the caller of this record is added to the project that his scenario named. `lead`: his card, if
    /// he has one. He keeps its id there, with all numbers, fields and tags; somebody without a card is known by his number.
    /// Who is there already and finished is called again; who is still to be called there stays as he is.
    pub(crate) async fn call_back_writes(
        &self,
        record: &AttemptRecord,
        effects: &Effects,
        lead: Option<&Lead>,
    ) -> Result<Vec<Write>> {
        let Some(id) = &effects.call_back else { return Ok(Vec::new()) };
        // His own project calls him again by its own rules.
        if record.project.as_ref() == Some(id) && record.lead.is_some() {
            return Ok(Vec::new());
        }
        let lost = |why: &str| {
            tracing::warn!(attempt = %record.attempt, project = %id, why, "a missed caller is not called back");
            Ok(Vec::new())
        };
        let Some(project) = self.project(id).await? else { return lost("the project is gone") };
        let mut numbers: Vec<PhoneNumber> = match lead {
            Some(lead) => lead.numbers.clone(),
            None => record.number.iter().cloned().collect(),
        };
        numbers.retain(|number| self.check_number(number, project.rules.only_mobile).is_ok());
        let Some(first) = numbers.first() else { return lost("he has no number that may be dialled") };
        let name = match lead {
            Some(lead) => lead.lead.clone(),
            None => by_number(first),
        };
        let key = self.keys.lead(id, &name);
        if let Some(Read { row, revision }) = self.get::<Lead>(&key).await? {
            if row.claim.is_some() || !row.progress.state.is_finished() {
                return Ok(Vec::new());
            }
            let mut again = row.clone();
            again.progress = Progress { state: LeadState::Again { due: record.ended_at }, ..Progress::new() };
            let moved = (row.progress.state.status(), again.progress.state.status());
            let step = Step::Edited { project: id.clone(), lead: name, moved };
            return Ok(vec![
                Write::replace(key, revision, encode(&again)),
                Write::create(self.keys.changed_step("edited", id, revision), encode(&step)),
            ]);
        }
        self.ensure_journal().await?;
        let position = self.reserve_places(id, 1).await?;
        let row = Lead {
            lead: name.clone(),
            numbers,
            fields: lead.map(|lead| lead.fields.clone()).unwrap_or_default(),
            notes: Vec::new(),
            tags: lead.map(|lead| lead.tags.clone()).unwrap_or_default(),
            position,
            progress: Progress::new(),
            claim: None,
        };
        let step = Step::Added { project: id.clone(), leads: vec![name] };
        Ok(vec![
            Write::create(key, encode(&fitted(row))),
            Write::create(self.keys.added_step(id, position), encode(&step)),
        ])
    }
}

/// Who has no card is known by his number, so that one who calls ten times is called back once. Ids stand in logs, so it is
/// not the number itself.
fn by_number(number: &PhoneNumber) -> LeadId {
    // FNV-1a: the same in every version of the program.
    let digits = number.digits().bytes();
    let hash = digits.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    LeadId::new(&format!("missed-{hash:016x}")).expect("letters, digits and a dash")
}
