//! The dialler's rules: who may be dialled, and what an outcome means for a lead.
