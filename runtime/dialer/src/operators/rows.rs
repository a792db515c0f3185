//! What a tenant says of an operator, and what of his presence outlives the program.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use zvonar_desk::{Group, Operator, Presence};
use zvonar_model::{Millis, OperatorId, UnixMillis};
use zvonar_store::{Commit, Write};

use super::{Card, Secret};
use crate::tables::{Read, Row, TRIES, Tables, encode};
use crate::{DialerError, Result};

/// The longest name of an operator, in characters.
pub const MAX_NAME: usize = 100;

/// How many operators a tenant may have when nobody says.
pub const USUAL_OPERATORS: u32 = 100;

/// The most operators that a host may grant: the roster of all of them is one row.
pub const MOST_OPERATORS: u32 = 1_000;

/// The most groups that one operator belongs to.
const MAX_GROUPS: usize = 50;

/// The longest time for writing down after a talk.
const LONGEST_WRAP_UP: Millis = Millis(30 * 60_000);

/// An extension is dialled by hand.
const EXTENSION_DIGITS: std::ops::RangeInclusive<usize> = 2..=6;

/// An operator as the tenant made him.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorRow {
    /// Who, whose callers he takes, and how long he writes down after a talk: what the desk knows of him.
    pub operator: Operator,
    /// What people call him.
    pub name: String,
    /// The short number by which colleagues hand calls on to him.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extension: Option<String>,
    /// The digests of his telephone's password; `None`: it may not register.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<Secret>,
    /// «Прозвон»: what he sees when a caller is handed to him.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub card: Option<Card>,
    /// When he was made.
    pub created: UnixMillis,
}

impl Row for OperatorRow {
    const VERSION: u16 = 1;
}

impl Row for Presence {
    const VERSION: u16 = 1;
}

/// All operators of a tenant and their extensions: every change of who there is, and by which extension, writes it, so
/// that neither their number nor an extension can be given twice.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Roster {
    operators: BTreeMap<OperatorId, Option<String>>,
}

impl Row for Roster {
    const VERSION: u16 = 1;
}

impl Roster {
    /// Enters an operator, or changes his extension.
    fn enter(&mut self, row: &OperatorRow, most: u32) -> Result<()> {
        let id = &row.operator.id;
        if let Some(extension) = &row.extension {
            let taken = |other: &Option<String>| other.as_ref() == Some(extension);
            if let Some((other, _)) = self.operators.iter().find(|(other, has)| *other != id && taken(has)) {
                let what = format!("the extension {extension} is {other}'s; choose another one");
                return Err(DialerError::BadOperator { operator: id.clone(), what });
            }
        }
        let known = self.operators.insert(id.clone(), row.extension.clone()).is_some();
        if !known && self.operators.len() > most as usize {
            return Err(DialerError::TooManyOperators { most });
        }
        Ok(())
    }
}

impl OperatorRow {
    /// An operator of whom nothing but his name is known.
    pub fn new(id: OperatorId, name: &str, created: UnixMillis) -> Self {
        let operator = Operator { id, groups: BTreeSet::new(), wrap_up: None };
        Self { operator, name: name.trim().to_owned(), extension: None, secret: None, card: None, created }
    }

    /// What no operator may be, in a sentence.
    fn check(&self) -> Result<()> {
        let bad = |what: String| {
            let operator = self.operator.id.clone();
            Err(DialerError::BadOperator { operator, what })
        };
        let length = self.name.chars().count();
        if self.name.trim().is_empty() {
            return bad("he has no name; give what people call him, as «Анна»".into());
        }
        if length > MAX_NAME {
            return bad(format!("a name has at most {MAX_NAME} characters, this one has {length}"));
        }
        // It is shown on telephones and stands in headers there.
        if let Some(control) = self.name.chars().find(|c| c.is_control()) {
            return bad(format!("a name is one line of text; it holds the control character {control:?}"));
        }
        if self.operator.groups.len() > MAX_GROUPS {
            let groups = self.operator.groups.len();
            return bad(format!("{groups} groups; an operator is in {MAX_GROUPS} at most"));
        }
        if self.operator.wrap_up.is_some_and(|wrap_up| wrap_up > LONGEST_WRAP_UP) {
            return bad("the time for writing down after a talk is 0 to 30 minutes".into());
        }
        if let Some(extension) = &self.extension {
            let digits = extension.bytes().all(|byte| byte.is_ascii_digit());
            if !digits || !EXTENSION_DIGITS.contains(&extension.len()) {
                return bad(format!(
                    "the extension `{}` is none; an extension is {} to {} digits, as 101",
                    extension.chars().take(20).collect::<String>(),
                    EXTENSION_DIGITS.start(),
                    EXTENSION_DIGITS.end()
                ));
            }
        }
        match self.card.as_ref().map(Card::check) {
            Some(Err(what)) => bad(what),
            _ => Ok(()),
        }
    }
}

/// What is changed of an operator; `None` stays as it is, `Some(None)` is taken away.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OperatorEdit {
    /// What people call him.
    pub name: Option<String>,
    /// All his groups.
    pub groups: Option<BTreeSet<Group>>,
    /// His own time for writing down.
    pub wrap_up: Option<Option<Millis>>,
    /// His extension.
    pub extension: Option<Option<String>>,
    /// «Прозвон».
    pub card: Option<Option<Card>>,
    /// The digests of his password.
    pub secret: Option<Option<Secret>>,
}

impl OperatorEdit {
    fn apply(&self, row: &OperatorRow) -> OperatorRow {
        let mut next = row.clone();
        if let Some(name) = &self.name {
            next.name = name.trim().to_owned();
        }
        if let Some(groups) = &self.groups {
            next.operator.groups.clone_from(groups);
        }
        if let Some(wrap_up) = self.wrap_up {
            next.operator.wrap_up = wrap_up;
        }
        if let Some(extension) = &self.extension {
            next.extension.clone_from(extension);
        }
        if let Some(card) = &self.card {
            next.card.clone_from(card);
        }
        if let Some(secret) = &self.secret {
            next.secret.clone_from(secret);
        }
        next
    }
}

impl Tables {
    /// Makes an operator. `most`: how many the tenant may have.
    ///
    /// # Errors
    /// [`DialerError::OperatorExists`]; [`DialerError::BadOperator`] for what no operator may be;
    /// [`DialerError::TooManyOperators`].
    pub async fn add_operator(&self, row: &OperatorRow, most: u32) -> Result<()> {
        self.store_operator(row, most, true).await
    }

    /// Makes an operator, or puts this one in the place of the one of the same id.
    ///
    /// # Errors
    /// As [`Tables::add_operator`], without the first.
    pub async fn put_operator(&self, row: &OperatorRow, most: u32) -> Result<()> {
        self.store_operator(row, most, false).await
    }

    async fn store_operator(&self, row: &OperatorRow, most: u32, new: bool) -> Result<()> {
        row.check()?;
        let id = &row.operator.id;
        let key = self.keys.operator(id);
        for _ in 0..TRIES {
            let stored = self.get::<OperatorRow>(&key).await?;
            let write = match stored {
                Some(_) if new => return Err(DialerError::OperatorExists(id.clone())),
                Some(Read { row: stored, .. }) if stored == *row => return Ok(()),
                Some(Read { revision, .. }) => Write::replace(key.clone(), revision, encode(row)),
                None => Write::create(key.clone(), encode(row)),
            };
            let roster = self.roster_write(|roster| roster.enter(row, most)).await?;
            let writes = [Some(write), roster].into_iter().flatten().collect();
            if let Commit::Done(_) = self.commit(writes, 0).await? {
                return Ok(());
            }
        }
        Err(DialerError::Contended(key))
    }

    /// The roster after a change; `None`: it stays as it is.
    async fn roster_write(&self, change: impl Fn(&mut Roster) -> Result<()>) -> Result<Option<Write>> {
        let key = self.keys.roster();
        let stored = self.get::<Roster>(&key).await?;
        let before = stored.as_ref().map(|read| read.row.clone()).unwrap_or_default();
        let mut after = before.clone();
        change(&mut after)?;
        Ok(match stored {
            Some(_) if after == before => None,
            Some(read) => Some(Write::replace(key, read.revision, encode(&after))),
            None => Some(Write::create(key, encode(&after))),
        })
    }

    /// Changes an operator, and gives him as he is then.
    ///
    /// # Errors
    /// [`DialerError::NoOperator`], [`DialerError::BadOperator`]. Nothing is changed then.
    pub async fn edit_operator(&self, id: &OperatorId, edit: &OperatorEdit) -> Result<OperatorRow> {
        let key = self.keys.operator(id);
        for _ in 0..TRIES {
            let Some(Read { row, revision }) = self.get::<OperatorRow>(&key).await? else {
                return Err(DialerError::NoOperator(id.clone()));
            };
            let next = edit.apply(&row);
            if next == row {
                return Ok(row);
            }
            next.check()?;
            let mut writes = vec![Write::replace(key.clone(), revision, encode(&next))];
            if next.extension != row.extension {
                // He is in the roster, so its length is no matter.
                writes.extend(self.roster_write(|roster| roster.enter(&next, u32::MAX)).await?);
            }
            if let Commit::Done(_) = self.commit(writes, 0).await? {
                return Ok(next);
            }
        }
        Err(DialerError::Contended(key))
    }

    /// An operator by his id.
    pub async fn operator(&self, id: &OperatorId) -> Result<Option<OperatorRow>> {
        Ok(self.get::<OperatorRow>(&self.keys.operator(id)).await?.map(|read| read.row))
    }

    /// All operators of the tenant by id, and what was stored of the presence of each last.
    pub async fn operators(&self) -> Result<Vec<(OperatorRow, Option<Presence>)>> {
        let mut rows = BTreeMap::new();
        self.each(&self.keys.operators(), |read: Read<OperatorRow>| {
            rows.insert(read.row.operator.id.clone(), read.row);
        })
        .await?;
        let mut presences = BTreeMap::new();
        self.each_keyed(&self.keys.presences(), |id, read: Read<Presence>| {
            presences.insert(id.to_owned(), read.row);
        })
        .await?;
        Ok(rows
            .into_values()
            .map(|row| {
                let presence = presences.remove(row.operator.id.as_str());
                (row, presence)
            })
            .collect())
    }

    /// What the tenant's operators are called: reports know them by their ids.
    pub async fn operator_names(&self) -> Result<BTreeMap<OperatorId, String>> {
        let mut names = BTreeMap::new();
        self.each(&self.keys.operators(), |read: Read<OperatorRow>| {
            names.insert(read.row.operator.id, read.row.name);
        })
        .await?;
        Ok(names)
    }

    /// Removes an operator with all that was stored of his presence. `false`: there was none of this id.
    pub async fn remove_operator(&self, id: &OperatorId) -> Result<bool> {
        let key = self.keys.operator(id);
        let mut was_there = false;
        for _ in 0..TRIES {
            let row = self.get::<OperatorRow>(&key).await?;
            let presence = self.get::<Presence>(&self.keys.presence(id)).await?;
            was_there |= row.is_some();
            let roster = self.roster_write(|roster| {
                roster.operators.remove(id);
                Ok(())
            });
            // The roster says last who there is: without a change of it, whatever is left was left by nobody.
            let Some(roster) = roster.await? else { return Ok(was_there) };
            let mut writes = vec![roster];
            writes.extend(row.map(|read| Write::delete(key.clone(), read.revision)));
            writes.extend(presence.map(|read| Write::delete(self.keys.presence(id), read.revision)));
            if let Commit::Done(_) = self.commit(writes, 0).await? {
                return Ok(true);
            }
        }
        Err(DialerError::Contended(key))
    }

    /// Stores what must outlive the program of an operator's presence. Nothing is stored of one who is gone.
    pub async fn save_presence(&self, id: &OperatorId, presence: &Presence) -> Result<()> {
        let (key, row) = (self.keys.presence(id), self.keys.operator(id));
        for _ in 0..TRIES {
            let Some(operator) = self.get::<OperatorRow>(&row).await? else { return Ok(()) };
            let write = match self.get::<Presence>(&key).await? {
                Some(read) if read.row == *presence => return Ok(()),
                Some(read) => Write::replace(key.clone(), read.revision, encode(presence)),
                None => Write::create(key.clone(), encode(presence)),
            };
            // Written again as it is: whoever removes the operator meanwhile comes before this or after it, not between.
            let same = Write::replace(row.clone(), operator.revision, encode(&operator.row));
            if let Commit::Done(_) = self.commit(vec![write, same], 0).await? {
                return Ok(());
            }
        }
        Err(DialerError::Contended(key))
    }

    /// What was stored of an operator's presence last.
    pub async fn presence(&self, id: &OperatorId) -> Result<Option<Presence>> {
        Ok(self.get::<Presence>(&self.keys.presence(id)).await?.map(|read| read.row))
    }
}
