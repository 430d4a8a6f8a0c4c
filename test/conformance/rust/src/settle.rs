//! Step 2: compares what the server told with this side's changes, and does with each item what
//! follows from it.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::change_info::UNPROVED;
use crate::compare::{Comparison, Outcome, compare, compare_recovered, judge};
use crate::error::{Error, Result};
use crate::item::{Entry, State};
use crate::proto::{ChangeStandard, Checkpoint, ErrorReason};
use crate::session::{OnHistoryChange, Session};

/// Why states of the server are compared.
#[derive(Clone, Copy)]
pub(crate) enum Occasion {
    /// It told of them.
    Told,
    /// Held items are judged anew.
    Rejudged,
    /// A recovery found them. `fork`: the last revision that both histories share.
    Recovered { fork: i64 },
}

/// What is to be done with one item.
pub(crate) struct Decision {
    entry: Entry,
    theirs: State,
    comparison: Comparison,
    /// Of a conflict, and of what the server lost, where its history is followed.
    outcome: Option<Outcome>,
    /// It shares the fate of its group; the server told nothing of it.
    is_companion: bool,
}

impl Decision {
    fn takes_theirs(&self) -> bool {
        self.comparison == Comparison::Theirs || self.outcome == Some(Outcome::Theirs)
    }

    /// The server's content is to be kept here, and is not at hand.
    fn needs_content(&self) -> bool {
        let is_kept = self.takes_theirs() || self.outcome == Some(Outcome::Held);
        match self.theirs.fingerprint {
            None => false,
            Some(UNPROVED) => true,
            Some(_) => is_kept && self.theirs.version.is_none(),
        }
    }
}

impl Session<'_> {
    /// Compares, fetches what contents are needed, and stores: all at once, with the checkpoint.
    pub async fn take_changes(
        &mut self,
        told: Vec<State>,
        occasion: Occasion,
        checkpoint: Option<Checkpoint>,
    ) -> Result<()> {
        let decisions = self.compare_changes(told, occasion).await?;
        // From here on nothing is awaited: in a database, this is one transaction.
        self.carry_out(decisions);
        self.replica.hear(&self.heard);
        if let Some(checkpoint) = checkpoint {
            self.replica.stand(checkpoint);
        }
        Ok(())
    }

    /// Compares, and fetches what contents are needed. What was fetched is the server's state as
    /// well, and may be a later one, and the application may have changed items in the meantime: so
    /// everything is compared anew then.
    pub async fn compare_changes(
        &mut self,
        told: Vec<State>,
        occasion: Occasion,
    ) -> Result<Vec<Decision>> {
        let mut states: BTreeMap<String, State> =
            told.into_iter().map(|state| (state.id.clone(), state)).collect();
        loop {
            let decisions = self.decide(states.values(), occasion)?;
            let missing: Vec<&State> = decisions
                .iter()
                .filter(|each| each.needs_content())
                .map(|each| &each.theirs)
                .collect();
            if missing.is_empty() {
                return Ok(decisions);
            }
            for state in self.fetch_contents(&missing).await? {
                self.know_base(&state);
                states.insert(state.id.clone(), state);
            }
        }
    }

    pub fn carry_out(&mut self, decisions: Vec<Decision>) {
        for decision in decisions {
            self.carry_out_one(decision);
        }
    }

    /// Where what was fetched is the base itself, its content is at hand from now on: a member of a
    /// group may give way to it.
    fn know_base(&mut self, state: &State) {
        let entry = self.replica.entries.get_mut(&state.id);
        if let Some(base) = entry.and_then(|entry| entry.base.as_mut())
            && base.fingerprint == state.fingerprint
        {
            base.version = state.version.clone();
        }
    }

    fn decide<'s>(
        &self,
        told: impl Iterator<Item = &'s State>,
        occasion: Occasion,
    ) -> Result<Vec<Decision>> {
        // What is told now was there before a push that is on its way for the first time.
        let first: HashSet<&str> = self
            .on_the_way
            .iter()
            .filter(|sent| !sent.resent)
            .map(|sent| sent.id.as_str())
            .collect();
        let mut decisions = Vec::new();
        for theirs in told {
            let decision = self.decide_one(theirs, occasion, first.contains(theirs.id.as_str()))?;
            if decision.comparison != Comparison::Known {
                decisions.push(decision);
            }
        }
        Ok(self.join_groups(decisions))
    }

    fn decide_one(&self, theirs: &State, occasion: Occasion, is_first: bool) -> Result<Decision> {
        let entry = self.replica.entry(&theirs.id);
        let on_history_change = self.options.on_history_change;
        let sendings = match &entry.pending {
            Some(pending) if !is_first => pending.sendings.as_slice(),
            _ => &[],
        };
        let comparison = match occasion {
            Occasion::Rejudged if entry.is_held() => Comparison::Conflict,
            Occasion::Told | Occasion::Rejudged => compare(&entry, sendings, theirs),
            Occasion::Recovered { fork } => {
                let is_beyond = entry.base.as_ref().is_some_and(|base| base.revision > fork);
                if is_beyond && on_history_change == OnHistoryChange::Stop {
                    let message = "the server has lost what was agreed on; nothing was changed";
                    return Err(Error::new(ErrorReason::TokenOtherHistory, message));
                }
                compare_recovered(&entry, sendings, theirs, fork)
            }
        };
        let theirs = entry.with_content(theirs.clone());
        let outcome = match comparison {
            Comparison::Conflict => Some(self.judge(&entry, entry.time_us, &theirs)),
            Comparison::Lost if on_history_change == OnHistoryChange::Follow => {
                Some(Outcome::Theirs)
            }
            _ => None,
        };
        Ok(Decision { entry, theirs, comparison, outcome, is_companion: false })
    }

    fn judge(&self, entry: &Entry, time_us: i64, theirs: &State) -> Outcome {
        let ceiling_us = self.now_us() + self.ceiling_ahead_us;
        judge(self.opened.standard(), entry.fingerprint(), time_us.min(ceiling_us), theirs)
    }

    /// An atomic group that is in conflict has one fate, which its other members share.
    fn join_groups(&self, mut decisions: Vec<Decision>) -> Vec<Decision> {
        let in_conflict =
            decisions.iter().filter(|each| each.outcome.is_some() && each.entry.group() != 0);
        let groups: BTreeSet<i64> = in_conflict.map(|each| each.entry.group()).collect();
        for group in groups {
            let is_of_it = |each: &&Decision| each.outcome.is_some() && each.entry.group() == group;
            let conflicts: Vec<&Decision> = decisions.iter().filter(is_of_it).collect();
            let members = self.replica.group_of(&conflicts[0].entry);
            let fate = self.fate_of(&conflicts, &members);
            for entry in members {
                match decisions.iter_mut().find(|each| each.entry.id == entry.id) {
                    Some(told) if told.comparison == Comparison::Agreed => {}
                    Some(told) if fate != Outcome::Mine || told.outcome.is_some() => {
                        told.comparison = Comparison::Conflict;
                        told.outcome = Some(fate);
                    }
                    None if fate != Outcome::Mine => decisions.push(companion(entry, fate)),
                    _ => {}
                }
            }
        }
        decisions
    }

    /// Held where one of them is; else by the latest times of both sides.
    fn fate_of(&self, conflicts: &[&Decision], members: &[Entry]) -> Outcome {
        if conflicts.iter().any(|each| each.outcome == Some(Outcome::Held)) {
            return Outcome::Held;
        }
        if conflicts.iter().any(|each| each.comparison == Comparison::Lost) {
            return Outcome::Theirs;
        }
        // Of several of the same time, the first.
        let latest =
            conflicts.iter().rev().max_by_key(|each| each.theirs.time_us).unwrap_or(&conflicts[0]);
        let time_us = members.iter().map(|member| member.time_us).max().unwrap_or_default();
        self.judge(&latest.entry, time_us, &latest.theirs)
    }

    fn carry_out_one(&mut self, decision: Decision) {
        let standard = self.opened.standard();
        let takes_theirs = decision.takes_theirs();
        let Decision { entry, theirs, comparison, outcome, is_companion, .. } = decision;
        let is_held = outcome == Some(Outcome::Held);
        let overrides = match outcome {
            Some(Outcome::Mine) => standard,
            _ => ChangeStandard::Unspecified,
        };
        if let Some(outcome) = outcome
            && !is_companion
        {
            self.report.conflicts.insert(entry.id.clone(), (standard, outcome));
        } else if let (Comparison::Lost, Some(recovery)) = (comparison, &mut self.report.recovery) {
            recovery.offered.push(entry.id.clone());
        }
        match comparison {
            _ if takes_theirs => {
                match theirs.fingerprint {
                    None => self.report.deleted += 1,
                    Some(_) => self.report.received += 1,
                }
                let now_us = self.now_us();
                self.replica.take_theirs(entry, theirs, outcome.and(Some(standard)), now_us);
            }
            Comparison::Agreed => {
                self.report.settled += 1;
                self.settled.insert(entry.sequence());
                self.send_again(&entry);
                self.replica.agree(entry, theirs.revision);
            }
            Comparison::Same => self.replica.move_base(entry, Some(theirs)),
            _ if is_companion => {
                self.replica.change_pending(&entry.id, |pending| pending.held = true);
            }
            _ if entry.pending.is_none() => self.replica.offer(entry, theirs, overrides, is_held),
            _ => {
                self.send_again(&entry);
                self.replica.stand_on(entry, theirs, overrides, is_held);
            }
        }
    }

    /// A pending change stands on another base: it is to be sent, and with it its whole group.
    fn send_again(&mut self, entry: &Entry) {
        if !self.report.contended.contains(&entry.id) {
            for member in self.replica.group_of(entry) {
                self.tried.remove(&member.sequence());
            }
        }
    }
}

fn companion(entry: Entry, fate: Outcome) -> Decision {
    let (theirs, outcome) = (entry.base_state(), Some(fate));
    Decision { entry, theirs, comparison: Comparison::Conflict, outcome, is_companion: true }
}
