//! The order in which nodes may run: who has to wait for whom.

use std::collections::BTreeSet;

use crate::program::{NodeId, Program};

/// For each node, those that have to wait for it and those that it waits for.
#[derive(Debug)]
pub struct Order {
    /// Nodes that wait for each node.
    pub followers: Vec<Vec<NodeId>>,
    /// Nodes that each node waits for.
    pub leaders: Vec<Vec<NodeId>>,
}

impl Order {
    /// A node that reads memory waits for who wrote it, and one that writes for all who read before.
    pub fn of(program: &Program) -> Self {
        let count = program.nodes.len();
        let mut order = Self { followers: vec![Vec::new(); count], leaders: vec![Vec::new(); count] };
        let mut writer: Vec<Option<NodeId>> = vec![None; program.storages.len()];
        let mut readers: Vec<Vec<NodeId>> = vec![Vec::new(); program.storages.len()];
        for (id, node) in program.nodes.iter().enumerate() {
            for &value in node.inputs.iter().flatten() {
                let storage = program.values[value].storage;
                order.add(writer[storage], id);
                readers[storage].push(id);
            }
            for &value in &node.outputs {
                let storage = program.values[value].storage;
                order.add(writer[storage], id);
                for reader in std::mem::take(&mut readers[storage]) {
                    order.add(Some(reader), id);
                }
                writer[storage] = Some(id);
            }
        }
        order
    }

    fn add(&mut self, leader: Option<NodeId>, follower: NodeId) {
        let Some(leader) = leader.filter(|&leader| leader != follower) else { return };
        if !self.followers[leader].contains(&follower) {
            self.followers[leader].push(follower);
            self.leaders[follower].push(leader);
        }
    }
}

/// A partition of the nodes into units that run as a whole.
#[derive(Debug)]
pub struct Units {
    /// The nodes of each unit, in order; none for a unit that became part of another.
    pub nodes: Vec<Vec<NodeId>>,
    /// The unit of each node.
    pub of: Vec<usize>,
}

impl Units {
    /// Every node on its own.
    pub fn single(count: usize) -> Self {
        Self { nodes: (0..count).map(|node| vec![node]).collect(), of: (0..count).collect() }
    }

    /// Whether units can run as one: nobody outside waits for one of them while another waits for
    /// that.
    pub fn can_join(&self, order: &Order, units: &[usize]) -> bool {
        let mut seen = BTreeSet::new();
        let mut waiting = Vec::new();
        for &unit in units {
            waiting.extend(self.after(order, unit).filter(|next| !units.contains(next)));
        }
        while let Some(unit) = waiting.pop() {
            if units.contains(&unit) {
                return false;
            }
            if seen.insert(unit) {
                waiting.extend(self.after(order, unit));
            }
        }
        true
    }

    fn after<'a>(&'a self, order: &'a Order, unit: usize) -> impl Iterator<Item = usize> + 'a {
        let followers = self.nodes[unit].iter().flat_map(|&node| &order.followers[node]);
        followers.map(|&node| self.of[node]).filter(move |&next| next != unit)
    }

    /// Makes one unit of several: that of the first.
    pub fn join(&mut self, units: &[usize]) {
        let (&into, others) = units.split_first().expect("units to join");
        for &other in others.iter().filter(|&&other| other != into) {
            for node in std::mem::take(&mut self.nodes[other]) {
                self.of[node] = into;
                self.nodes[into].push(node);
            }
        }
        self.nodes[into].sort_unstable();
    }

    /// The units in an order in which they can run: of those that can, the one that comes first in
    /// the program.
    pub fn schedule(&self, order: &Order) -> Vec<usize> {
        let mut missing: Vec<usize> = vec![0; self.nodes.len()];
        for (unit, nodes) in self.nodes.iter().enumerate() {
            let leaders: BTreeSet<usize> =
                nodes.iter().flat_map(|&node| &order.leaders[node]).map(|&node| self.of[node]).collect();
            missing[unit] = leaders.iter().filter(|&&leader| leader != unit).count();
        }
        let place = |unit: usize| self.nodes[unit].first().map(|&node| (node, unit));
        let mut ready: BTreeSet<(NodeId, usize)> =
            (0..self.nodes.len()).filter(|&unit| missing[unit] == 0).filter_map(place).collect();
        let mut scheduled = Vec::new();
        while let Some((_, unit)) = ready.pop_first() {
            scheduled.push(unit);
            let next: BTreeSet<usize> = self.after(order, unit).collect();
            for unit in next {
                missing[unit] -= 1;
                if missing[unit] == 0 {
                    ready.extend(place(unit));
                }
            }
        }
        scheduled
    }
}
