//! Operators: what a tenant says of them, what outlives the program of their presence, and whoever keeps all of it in
//! step with their telephones and the desk.
//!
//! ```text
//! HTTP, commands ─▶ Staff ─▶ Tables (rows)
//! service codes  ─▶       ─▶ PhoneBook (who may register)
//!                         ─▶ DeskControl (who takes calls now)
//! ```
//!
//! # What always holds
//!
//! * An operator's row and his place in the roster are one commit: no more operators than the host allows, and no two
//!   with one extension, however many are made at once.
//! * A password is never stored: only its digests, which name the realm that they were made for.

mod card;
mod codes;
mod control;
mod rows;
mod secret;
mod staff;

pub use card::{Card, Handed, MAX_COMMENT, Verdict, lead_name};
pub use codes::{ServiceCode, ServiceTones, serve_code};
pub use control::{
    CallerView, DeskControl, DeskView, OperatorView, PhoneView, StoredDesk, Waiting, WhatHeDoes,
};
pub use rows::{MAX_NAME, MOST_OPERATORS, OperatorEdit, OperatorRow, USUAL_OPERATORS};
pub use secret::{BadPassword, Secret, generate_password, operator_of_user, sip_user};
pub use staff::{Accounts, OperatorPassword, Staff};
