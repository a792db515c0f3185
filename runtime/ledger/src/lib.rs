//! Money: tariffs as data, rating of attempts, ledger entries.
