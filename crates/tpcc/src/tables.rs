//! The tables, and what is in their records (clause 1.3).
//!
//! 1. Tables that the specification has are split where some columns change often and others never (clause 1.4 allows it): of warehouses and
//!    districts, what was paid and the next order's number are tables of their own, so that an order that reads a tax does not conflict with a payment.
//! 2. What the specification finds by something else than its primary key has a table that leads there: `customer-names`, `orders-of`.
//! 3. The history, which has no primary key, has the customer and the number of the payment.
//! 4. Money is in cents, rates in hundredths of a percent, times in microseconds of Unix time.
//! 5. A record is encoded as the tuple of its fields, and the catalog calls it so. So its last field has a fixed width.

use aquifer::{Database, DecodeError, EncodeError, Table, TableDef, Value};

/// A district: warehouse and number.
pub type DistrictKey = (u32, u8);
/// A customer: warehouse, district, number.
pub type CustomerKey = (u32, u8, u32);
/// An order: warehouse, district, number.
pub type OrderKey = (u32, u8, u32);

/// A record with named fields that is a tuple to the database (rule 5).
macro_rules! record {
    ($(#[$about:meta])* $name:ident { $($(#[$field_about:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$about])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $name { $($(#[$field_about])* pub $field: $type,)* }

        impl Value for $name {
            type Owned = $name;

            fn encode(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
                let start = out.len();
                let encoded = (|| {
                    $(self.$field.encode_inner(out)?;)*
                    Ok(())
                })();
                encoded.inspect_err(|_| out.truncate(start))
            }

            fn decode(mut bytes: &[u8]) -> Result<$name, DecodeError> {
                let record = $name { $($field: <$type>::decode_inner(&mut bytes)?,)* };
                match bytes.len() {
                    0 => Ok(record),
                    extra => Err(DecodeError::Trailing { type_name: Self::type_name(), extra }),
                }
            }

            fn type_name() -> String {
                format!("({})", [$(<$type>::type_name()),*].join(", "))
            }
        }
    };
}

record! {
    /// A warehouse or a district, but for what changes (rule 1).
    Place {
        /// Its name.
        name: String,
        /// Where it is: two lines, town, state, zip code.
        address: [String; 5],
        /// Its tax.
        tax: u32,
    }
}

record! {
    /// A customer.
    Customer {
        /// First name.
        first: String,
        /// Middle name.
        middle: String,
        /// Last name.
        last: String,
        /// Where the customer is: two lines, town, state, zip code.
        address: [String; 5],
        /// Telephone number.
        phone: String,
        /// Good or bad credit: `GC` or `BC`.
        credit: String,
        /// What is known about the customer.
        data: String,
        /// Since when.
        since: i64,
        /// How much credit.
        credit_limit: i64,
        /// Discount.
        discount: u32,
        /// What the customer owes.
        balance: i64,
        /// What the customer has paid.
        ytd_payment: i64,
        /// Payments.
        payment_count: u32,
        /// Deliveries.
        delivery_count: u32,
    }
}

record! {
    /// A payment.
    History {
        /// Where it was made: names.
        data: String,
        /// Where it was made: warehouse.
        warehouse: u32,
        /// Where it was made: district.
        district: u8,
        /// When.
        date: i64,
        /// How much.
        amount: i64,
    }
}

record! {
    /// An order.
    Order {
        /// Whose.
        customer: u32,
        /// When it came.
        entry: i64,
        /// Who has delivered it, if somebody has.
        carrier: Option<u8>,
        /// Its lines come from the warehouse that took it.
        all_local: bool,
        /// Its lines.
        lines: u8,
    }
}

record! {
    /// A line of an order.
    OrderLine {
        /// What the supplier says of the district.
        info: String,
        /// Of what.
        item: u32,
        /// Whose stock it comes from.
        supplier: u32,
        /// How many.
        quantity: u8,
        /// When it was delivered, if it was.
        delivered: Option<i64>,
        /// The price of all of them.
        amount: i64,
    }
}

record! {
    /// An item.
    Item {
        /// Its name.
        name: String,
        /// What is known about it.
        data: String,
        /// Its picture.
        image: u32,
        /// Its price.
        price: i64,
    }
}

record! {
    /// How much of an item a warehouse has.
    Stock {
        /// What is said of each of the districts.
        districts: [String; 10],
        /// What is known about it.
        data: String,
        /// How many there are.
        quantity: i32,
        /// How many were ordered.
        ytd: u64,
        /// In how many lines.
        order_count: u32,
        /// In how many lines of other warehouses.
        remote_count: u32,
    }
}

/// All tables, open.
#[derive(Debug, Clone)]
pub struct Tables {
    /// The database.
    pub db: Database,
    /// Warehouses.
    pub warehouses: Table<u32, Place>,
    /// What was paid at each warehouse.
    pub warehouse_ytd: Table<u32, i64>,
    /// Districts.
    pub districts: Table<DistrictKey, Place>,
    /// What was paid at each district.
    pub district_ytd: Table<DistrictKey, i64>,
    /// The number of each district's next order.
    pub district_next: Table<DistrictKey, u32>,
    /// Customers.
    pub customers: Table<CustomerKey, Customer>,
    /// Warehouse, district, last name, first name, number of each customer.
    pub customer_names: Table<(u32, u8, String, String, u32), ()>,
    /// Payments: warehouse, district and number of the customer, and the payment's number.
    pub history: Table<(u32, u8, u32, u32), History>,
    /// Orders that are not delivered.
    pub new_orders: Table<OrderKey, ()>,
    /// Orders.
    pub orders: Table<OrderKey, Order>,
    /// Warehouse, district, customer, number of each order.
    pub orders_of: Table<(u32, u8, u32, u32), ()>,
    /// Lines: the order and the number.
    pub order_lines: Table<(u32, u8, u32, u8), OrderLine>,
    /// Items.
    pub items: Table<u32, Item>,
    /// Stock: warehouse and item.
    pub stock: Table<(u32, u32), Stock>,
}

/// The names of all tables.
pub const NAMES: [&str; 14] = [
    "tpcc-warehouses",
    "tpcc-warehouse-ytd",
    "tpcc-districts",
    "tpcc-district-ytd",
    "tpcc-district-next",
    "tpcc-customers",
    "tpcc-customer-names",
    "tpcc-history",
    "tpcc-new-orders",
    "tpcc-orders",
    "tpcc-orders-of",
    "tpcc-order-lines",
    "tpcc-items",
    "tpcc-stock",
];

impl Tables {
    /// Opens the tables, and makes those that are not there.
    ///
    /// # Errors
    ///
    /// Whatever the database says.
    pub fn open(db: &Database) -> aquifer::Result<Tables> {
        Ok(Tables {
            db: db.clone(),
            warehouses: TableDef::new(NAMES[0]).open_or_create(db)?,
            warehouse_ytd: TableDef::new(NAMES[1]).open_or_create(db)?,
            districts: TableDef::new(NAMES[2]).open_or_create(db)?,
            district_ytd: TableDef::new(NAMES[3]).open_or_create(db)?,
            district_next: TableDef::new(NAMES[4]).open_or_create(db)?,
            customers: TableDef::new(NAMES[5]).open_or_create(db)?,
            customer_names: TableDef::new(NAMES[6]).open_or_create(db)?,
            history: TableDef::new(NAMES[7]).open_or_create(db)?,
            new_orders: TableDef::new(NAMES[8]).open_or_create(db)?,
            orders: TableDef::new(NAMES[9]).open_or_create(db)?,
            orders_of: TableDef::new(NAMES[10]).open_or_create(db)?,
            order_lines: TableDef::new(NAMES[11]).open_or_create(db)?,
            items: TableDef::new(NAMES[12]).open_or_create(db)?,
            stock: TableDef::new(NAMES[13]).open_or_create(db)?,
        })
    }

    /// Drops the tables that are there, and makes all of them anew, empty.
    ///
    /// # Errors
    ///
    /// Whatever the database says.
    pub fn emptied(db: &Database) -> aquifer::Result<Tables> {
        for name in NAMES {
            match db.drop_table(name) {
                Ok(()) | Err(aquifer::Error::TableNotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Tables::open(db)
    }
}
