//! A tenant's operators as those who look after them see them: whatever is changed here is changed in the store, for the
//! telephones and at the desk.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use rand::SeedableRng;
use rand::rngs::StdRng;
use zvonar_desk::{Presence, Status};
use zvonar_model::OperatorId;
use zvonar_switch::{PhoneAccount, PhoneBook, PhoneSecret};

use super::{DeskControl, DeskView, OperatorEdit, OperatorRow, Secret, generate_password, sip_user};
use crate::tables::Tables;
use crate::{DialerError, Result};

/// Who may register, as the exchange has it.
pub trait Accounts: Send + Sync {
    /// From now on a telephone of this name registers by this password; calls it has go on.
    fn set(&self, user: &str, secret: &Secret);

    /// No telephone of this name may register any more.
    fn remove(&self, user: &str);
}

impl Accounts for PhoneBook {
    fn set(&self, user: &str, secret: &Secret) {
        let Secret { md5, sha256, .. } = secret.clone();
        self.set(PhoneAccount { user: user.to_owned(), secret: PhoneSecret { md5, sha256 } });
    }

    fn remove(&self, user: &str) {
        self.remove(user);
    }
}

/// What a telephone is set up with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorPassword {
    /// The name that it registers by.
    pub user: String,
    /// The realm that it is asked by.
    pub realm: String,
    /// The password, if it was made here: it is told this once and kept nowhere.
    pub made: Option<String>,
}

/// A tenant's operators. Clones are the same.
#[derive(Clone)]
pub struct Staff {
    tables: Tables,
    most: u32,
    realm: Arc<str>,
    accounts: Option<Arc<dyn Accounts>>,
    desk: Arc<dyn DeskControl>,
    chance: Arc<Mutex<StdRng>>,
}

impl fmt::Debug for Staff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Staff").field("tenant", self.tables.tenant()).finish_non_exhaustive()
    }
}

impl Staff {
    /// Of the tenant whose tables these are: at most so many. `seed`: where passwords that are made come from; secret.
    pub fn new(tables: Tables, most: u32, realm: &str, desk: Arc<dyn DeskControl>, seed: [u8; 32]) -> Self {
        let chance = Arc::new(Mutex::new(StdRng::from_seed(seed)));
        Self { tables, most, realm: realm.into(), accounts: None, desk, chance }
    }

    /// The same with an exchange at which their telephones register.
    #[must_use]
    pub fn with_accounts(mut self, accounts: Arc<dyn Accounts>) -> Self {
        self.accounts = Some(accounts);
        self
    }

    /// The realm that their telephones are asked by.
    pub fn realm(&self) -> &str {
        &self.realm
    }

    /// The name by which an operator's telephone registers.
    pub fn user(&self, operator: &OperatorId) -> String {
        sip_user(self.tables.tenant(), operator)
    }

    /// Whether an operator's telephone can register: its password was set, and for this realm.
    pub fn may_register(&self, row: &OperatorRow) -> bool {
        row.secret.as_ref().is_some_and(|secret| *secret.realm == *self.realm)
    }

    /// Lets all telephones of the tenant register; to be done once, at the start. Gives those operators whose password was
    /// set for another realm: it has to be set anew.
    pub async fn open(&self) -> Result<Vec<OperatorId>> {
        let mut shut_out = Vec::new();
        for (row, _) in self.tables.operators().await? {
            self.admit(&row);
            if row.secret.is_some() && !self.may_register(&row) {
                shut_out.push(row.operator.id);
            }
        }
        Ok(shut_out)
    }

    fn admit(&self, row: &OperatorRow) {
        let Some(accounts) = &self.accounts else { return };
        let user = self.user(&row.operator.id);
        match &row.secret {
            Some(secret) if self.may_register(row) => accounts.set(&user, secret),
            _ => accounts.remove(&user),
        }
    }

    /// Makes an operator, with this password or one that is made for him.
    ///
    /// # Errors
    /// As [`Tables::add_operator`]; [`DialerError::BadOperator`] for a password that is none.
    pub async fn add(
        &self,
        mut row: OperatorRow,
        password: Option<&str>,
    ) -> Result<(OperatorRow, OperatorPassword)> {
        let (secret, told) = self.secret(&row.operator.id, password)?;
        row.secret = Some(secret);
        self.tables.add_operator(&row, self.most).await?;
        self.changed(&row.operator.id, Some(&row)).await?;
        Ok((row, told))
    }

    /// Changes an operator.
    ///
    /// # Errors
    /// As [`Tables::edit_operator`].
    pub async fn edit(&self, operator: &OperatorId, edit: &OperatorEdit) -> Result<OperatorRow> {
        let row = self.tables.edit_operator(operator, edit).await?;
        self.changed(operator, Some(&row)).await?;
        Ok(row)
    }

    /// Removes an operator: his telephones are not let in any more. A talk goes on to its end.
    ///
    /// # Errors
    /// [`DialerError::NoOperator`].
    pub async fn remove(&self, operator: &OperatorId) -> Result<()> {
        if !self.tables.remove_operator(operator).await? {
            return Err(DialerError::NoOperator(operator.clone()));
        }
        self.changed(operator, None).await
    }

    /// Gives an operator's telephones this password, or one that is made for them. Those that registered with the old one
    /// are not rung any more; a talk goes on.
    ///
    /// # Errors
    /// [`DialerError::NoOperator`]; [`DialerError::BadOperator`] for a password that is none.
    pub async fn set_password(
        &self,
        operator: &OperatorId,
        password: Option<&str>,
    ) -> Result<OperatorPassword> {
        let (secret, told) = self.secret(operator, password)?;
        self.edit(operator, &OperatorEdit { secret: Some(Some(secret)), ..OperatorEdit::default() }).await?;
        Ok(told)
    }

    /// An operator chose a status.
    ///
    /// # Errors
    /// [`DialerError::NoOperator`].
    pub async fn status(&self, operator: &OperatorId, status: Status) -> Result<Presence> {
        if self.tables.operator(operator).await?.is_none() {
            return Err(DialerError::NoOperator(operator.clone()));
        }
        self.desk.status(self.tables.tenant(), operator, status).await
    }

    /// Who does what now, and who waits.
    pub async fn view(&self) -> Result<DeskView> {
        self.desk.view(self.tables.tenant()).await
    }

    fn secret(&self, operator: &OperatorId, password: Option<&str>) -> Result<(Secret, OperatorPassword)> {
        let made = match password {
            Some(_) => None,
            None => Some(generate_password(&mut *self.chance.lock().unwrap_or_else(PoisonError::into_inner))),
        };
        let user = self.user(operator);
        let password = password.or(made.as_deref()).unwrap_or_default();
        let secret = Secret::of(&user, &self.realm, password)
            .map_err(|why| DialerError::BadOperator { operator: operator.clone(), what: why.to_string() })?;
        Ok((secret, OperatorPassword { user, realm: self.realm.as_ref().to_owned(), made }))
    }

    async fn changed(&self, operator: &OperatorId, row: Option<&OperatorRow>) -> Result<()> {
        match (row, &self.accounts) {
            (Some(row), _) => self.admit(row),
            (None, Some(accounts)) => accounts.remove(&self.user(operator)),
            (None, None) => {}
        }
        self.desk.operator_changed(self.tables.tenant(), operator).await
    }
}
