//! Threads that work through the mix, and their figures.
//!
//! 1. The mix is 45 new orders, 43 payments, 4 of each other kind out of a hundred: the least that clause 5.2.3 asks for of these, and the rest new orders.
//! 2. There are no terminals: a thread begins the next transaction when one is done, without keying or thinking, and draws warehouse and
//!    district for each. So the rates are those of the engine and no tpmC.
//! 3. A transaction that is refused is begun again, as often as needed, with what was drawn for it. Its latency is the time from its first beginning.
//! 4. The first failure of any thread stops all of them.

use crate::random::Random;
use crate::scale::DISTRICTS;
use crate::transactions::{Delivery, NewOrder, OrderStatus, Payment, StockLevel, Stop};
use crate::{Error, Scale, Tables};
use aquifer::{Durability, Isolation, Transaction, TxOptions};
use aquifer_sync::atomic::{AtomicBool, Ordering};
use aquifer_sync::thread;
use hdrhistogram::Histogram;
use std::time::{Duration, Instant};

/// The longest latency that is told from longer ones: an hour.
const LATENCY_MAX_NS: u64 = 3_600_000_000_000;
/// How long a transaction waits for a key that another has locked: longer than any of these lasts.
const LOCK_TIMEOUT: Duration = Duration::from_secs(600);

/// A kind of transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An order comes in.
    NewOrder,
    /// A customer pays.
    Payment,
    /// A customer asks.
    OrderStatus,
    /// Orders go out.
    Delivery,
    /// Somebody looks what is short.
    StockLevel,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 5] =
        [Kind::NewOrder, Kind::Payment, Kind::OrderStatus, Kind::Delivery, Kind::StockLevel];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Kind::NewOrder => "new-order",
            Kind::Payment => "payment",
            Kind::OrderStatus => "order-status",
            Kind::Delivery => "delivery",
            Kind::StockLevel => "stock-level",
        }
    }

    /// Rule 1.
    fn draw(random: &mut Random) -> Kind {
        match random.within(1, 100) {
            1..=45 => Kind::NewOrder,
            46..=88 => Kind::Payment,
            89..=92 => Kind::OrderStatus,
            93..=96 => Kind::Delivery,
            _ => Kind::StockLevel,
        }
    }
}

/// What to run.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// The population's.
    pub scale: Scale,
    /// Threads.
    pub threads: usize,
    /// No transaction begins after this time.
    pub time: Duration,
    /// Nor more than so many by each thread, if it is said.
    pub transactions: Option<u64>,
    /// What the transactions that write are protected from.
    pub isolation: Isolation,
    /// What their commits wait for.
    pub durability: Durability,
    /// Where the randomness comes from.
    pub seed: u64,
}

/// What became of transactions of one kind.
#[derive(Debug, Clone)]
pub struct Figures {
    /// Committed.
    pub committed: u64,
    /// Rolled back as they were meant to be: new orders of an item that does not exist.
    pub rolled_back: u64,
    /// How often they were begun again after they were refused.
    pub retries: u64,
    latencies_ns: Histogram<u64>,
}

impl Figures {
    fn new() -> Figures {
        let latencies_ns =
            Histogram::new_with_bounds(1, LATENCY_MAX_NS, 3).expect("these bounds make a histogram");
        Figures { committed: 0, rolled_back: 0, retries: 0, latencies_ns }
    }

    /// All that were done: committed or rolled back as they were meant to be.
    pub fn done(&self) -> u64 {
        self.committed + self.rolled_back
    }

    /// So large a part of them took at most so many microseconds.
    pub fn latency_us(&self, part: f64) -> f64 {
        self.latencies_ns.value_at_quantile(part) as f64 / 1e3
    }

    fn add(&mut self, other: &Figures) {
        self.committed += other.committed;
        self.rolled_back += other.rolled_back;
        self.retries += other.retries;
        self.latencies_ns.add(&other.latencies_ns).expect("the histograms have the same bounds");
    }
}

/// What came of a run.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// By kind, in the order of [`Kind::ALL`].
    pub kinds: [Figures; 5],
    /// From the first transaction's beginning to the last one's end.
    pub elapsed: Duration,
}

impl Outcome {
    /// The figures of one kind.
    pub fn of(&self, kind: Kind) -> &Figures {
        &self.kinds[kind as usize]
    }

    /// Those of all kinds together.
    pub fn all(&self) -> Figures {
        let mut all = Figures::new();
        self.kinds.iter().for_each(|figures| all.add(figures));
        all
    }

    /// New orders committed in a minute.
    pub fn new_orders_per_minute(&self) -> f64 {
        self.of(Kind::NewOrder).committed as f64 * 60.0 / self.elapsed.as_secs_f64().max(1e-9)
    }
}

/// Runs the mix on a population, and calls `committed` after each transaction that was.
///
/// # Errors
///
/// [`Error::Missing`] if the population is of another scale, or damaged; whatever the database says.
pub fn run(tables: &Tables, plan: &Plan, committed: &(dyn Fn(Kind) + Sync)) -> Result<Outcome, Error> {
    plan.scale.check()?;
    let (begun, stop) = (Instant::now(), AtomicBool::new(false));
    let results: Vec<Result<[Figures; 5], Error>> = thread::scope(|scope| {
        let stop = &stop;
        let work = |number: usize| {
            move || {
                let mut terminal = Terminal {
                    tables,
                    plan,
                    random: Random::new(plan.seed, number as u64 + 1_000_000),
                    figures: std::array::from_fn(|_| Figures::new()),
                };
                let worked = terminal.work(begun, stop, committed);
                if worked.is_err() {
                    stop.store(true, Ordering::Relaxed); // rule 4; a transaction too many does no harm
                }
                worked.map(|()| terminal.figures)
            }
        };
        let threads: Vec<_> = (0..plan.threads).map(|number| scope.spawn(work(number))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or(Err(Error::Panicked))).collect()
    });
    let elapsed = begun.elapsed();
    let mut kinds = std::array::from_fn(|_| Figures::new());
    for figures in results {
        kinds.iter_mut().zip(&figures?).for_each(|(sum, one): (&mut Figures, _)| sum.add(one));
    }
    Ok(Outcome { kinds, elapsed })
}

/// One thread.
struct Terminal<'p> {
    tables: &'p Tables,
    plan: &'p Plan,
    random: Random,
    figures: [Figures; 5],
}

impl Terminal<'_> {
    fn work(
        &mut self,
        begun: Instant,
        stop: &AtomicBool,
        committed: &(dyn Fn(Kind) + Sync),
    ) -> Result<(), Error> {
        let most = self.plan.transactions.unwrap_or(u64::MAX);
        let mut at = Instant::now();
        for _ in 0..most {
            if stop.load(Ordering::Relaxed) || at - begun >= self.plan.time {
                break;
            }
            let kind = Kind::draw(&mut self.random);
            let (done, retries) = self.transaction(kind);
            let now = Instant::now();
            let figures = &mut self.figures[kind as usize];
            figures.retries += retries;
            match done {
                Ok(result) => {
                    std::hint::black_box(result);
                    figures.committed += 1;
                    committed(kind);
                }
                Err(Stop::RolledBack) => figures.rolled_back += 1,
                Err(Stop::Failed(error)) => return Err(error),
            }
            figures.latencies_ns.saturating_record((now - at).as_nanos() as u64);
            at = now;
        }
        Ok(())
    }

    /// One transaction, and how often it was begun again.
    fn transaction(&mut self, kind: Kind) -> (Result<i64, Stop>, u64) {
        let (tables, scale, random) = (self.tables, &self.plan.scale, &mut self.random);
        let warehouse = random.within(1, scale.warehouses);
        let district = random.within(1, DISTRICTS.into()) as u8;
        match kind {
            Kind::NewOrder => {
                let order = NewOrder::draw(random, scale, warehouse, district);
                self.transact(false, |tx| order.run(tx, tables))
            }
            Kind::Payment => {
                let payment = Payment::draw(random, scale, warehouse, district);
                self.transact(false, |tx| payment.run(tx, tables))
            }
            Kind::OrderStatus => {
                let status = OrderStatus::draw(random, scale, warehouse, district);
                self.transact(true, |tx| status.run(tx, tables))
            }
            Kind::Delivery => {
                let delivery = Delivery::draw(random, warehouse);
                self.transact(false, |tx| delivery.run(tx, tables))
            }
            Kind::StockLevel => {
                let level = StockLevel::draw(random, warehouse, district);
                self.transact(true, |tx| level.run(tx, tables))
            }
        }
    }

    /// Rule 3.
    fn transact(
        &self,
        read_only: bool,
        mut work: impl FnMut(&mut Transaction) -> Result<i64, Stop>,
    ) -> (Result<i64, Stop>, u64) {
        let options = TxOptions::new().isolation(self.plan.isolation);
        let options = options.retries_max(u32::MAX).lock_timeout(LOCK_TIMEOUT);
        let options = if read_only { options.read_only() } else { options };
        let mut begun = 0u64;
        let done = self.tables.db.transact_with(options, self.plan.durability, |tx| {
            begun += 1;
            work(tx)
        });
        (done, begun.saturating_sub(1))
    }
}
