// The types of a GraphQL schema that walcast made of a database.

export interface Query {
  __typename?: "Query";
  news: News | null;
  orderLine: OrderLine | null;
  order: Order | null;
  person: Person | null;
  tenant: Tenant | null;
  value: Value | null;
  activePeople: ActivePerson[];
  measurements: Measurement[];
  allNews: News[];
  orderLines: OrderLine[];
  orders: Order[];
  people: Person[];
  tenants: Tenant[];
  values: Value[];
  personByEmail: Person | null;
  nextStatus: OrderStatus | null;
  search: Person[];
  tags: (string | null)[];
  activePeopleAggregate: ActivePersonAggregate;
  measurementsAggregate: MeasurementAggregate;
  allNewsAggregate: NewsAggregate;
  orderLinesAggregate: OrderLineAggregate;
  ordersAggregate: OrderAggregate;
  peopleAggregate: PersonAggregate;
  tenantsAggregate: TenantAggregate;
  valuesAggregate: ValueAggregate;
}

export interface Mutation {
  __typename?: "Mutation";
  clean: boolean | null;
  hire: Person[];
  placeOrder: Order | null;
}

/** What is told as it happens. An operation has one of these fields. */
export interface Subscription {
  __typename?: "Subscription";
  /** What is sent to a topic from now on, by SQL or over HTTP. */
  listen: Sent;
  /** Changes from now on: those of rows that the filter fits, and of these events. */
  measurements: MeasurementChange;
  /** Changes from now on: those of rows that the filter fits, and of these events. */
  allNews: NewsChange;
  /** Changes from now on: those of rows that the filter fits, and of these events. */
  orderLines: OrderLineChange;
  /** Changes from now on: those of rows that the filter fits, and of these events. */
  orders: OrderChange;
  /** Changes from now on: those of rows that the filter fits, and of these events. */
  people: PersonChange;
  /** Changes from now on: those of rows that the filter fits, and of these events. */
  tenants: TenantChange;
  /** Changes from now on: those of rows that the filter fits, and of these events. */
  values: ValueChange;
}

/** Something that was sent to a topic. */
export interface Sent {
  __typename?: "Sent";
  topic: string;
  event: string;
  payload: JSON;
}

/** What happened to a row, or to all of them. */
export type ChangeEvent = "INSERT" | "UPDATE" | "DELETE" | "TRUNCATE";

/** A change of `measurements`. */
export interface MeasurementChange {
  __typename?: "MeasurementChange";
  /** What happened. */
  event: ChangeEvent;
  /** The row after it; null where there is none (`DELETE`, `TRUNCATE`). */
  record: Measurement | null;
  /** The row before it, as far as the log of the database tells: the key where it is gone or has another one, the whole row under `REPLICA IDENTITY FULL`, else null. */
  old: MeasurementOld | null;
  /** The change's place among all others. */
  cursor: string;
}

/** What is known of a row of `measurements` before a change. */
export interface MeasurementOld {
  __typename?: "MeasurementOld";
  small: number | null;
  whole: number | null;
  big: BigInt | null;
  exact: BigDecimal | null;
  single: number | null;
}

/** A change of `news`. */
export interface NewsChange {
  __typename?: "NewsChange";
  /** What happened. */
  event: ChangeEvent;
  /** The row after it; null where there is none (`DELETE`, `TRUNCATE`). */
  record: News | null;
  /** The row before it, as far as the log of the database tells: the key where it is gone or has another one, the whole row under `REPLICA IDENTITY FULL`, else null. */
  old: NewsOld | null;
  /** The change's place among all others. */
  cursor: string;
}

/** What is known of a row of `news` before a change. */
export interface NewsOld {
  __typename?: "NewsOld";
  id: string | null;
  authorId: string | null;
  headline: string | null;
}

/** A change of `order_lines`. */
export interface OrderLineChange {
  __typename?: "OrderLineChange";
  /** What happened. */
  event: ChangeEvent;
  /** The row after it; null where there is none (`DELETE`, `TRUNCATE`). */
  record: OrderLine | null;
  /** The row before it, as far as the log of the database tells: the key where it is gone or has another one, the whole row under `REPLICA IDENTITY FULL`, else null. */
  old: OrderLineOld | null;
  /** The change's place among all others. */
  cursor: string;
}

/** What is known of a row of `order_lines` before a change. */
export interface OrderLineOld {
  __typename?: "OrderLineOld";
  id: string | null;
  tenantId: string | null;
  orderNumber: string | null;
  or_: string | null;
  grEInCm: number | null;
}

/** A change of `orders`. */
export interface OrderChange {
  __typename?: "OrderChange";
  /** What happened. */
  event: ChangeEvent;
  /** The row after it; null where there is none (`DELETE`, `TRUNCATE`). */
  record: Order | null;
  /** The row before it, as far as the log of the database tells: the key where it is gone or has another one, the whole row under `REPLICA IDENTITY FULL`, else null. */
  old: OrderOld | null;
  /** The change's place among all others. */
  cursor: string;
}

/** What is known of a row of `orders` before a change. */
export interface OrderOld {
  __typename?: "OrderOld";
  tenantId: string | null;
  number: string | null;
  status: OrderStatus | null;
  buyer: string | null;
}

/** A change of `people`. */
export interface PersonChange {
  __typename?: "PersonChange";
  /** What happened. */
  event: ChangeEvent;
  /** The row after it; null where there is none (`DELETE`, `TRUNCATE`). */
  record: Person | null;
  /** The row before it, as far as the log of the database tells: the key where it is gone or has another one, the whole row under `REPLICA IDENTITY FULL`, else null. */
  old: PersonOld | null;
  /** The change's place among all others. */
  cursor: string;
}

/** What is known of a row of `people` before a change. */
export interface PersonOld {
  __typename?: "PersonOld";
  id: string | null;
  /** As it is written. */
  name: string | null;
  email: string | null;
  managerId: string | null;
  /** Ends with a "quote" */
  born: Date | null;
  active: boolean | null;
}

/** A change of `tenants`. */
export interface TenantChange {
  __typename?: "TenantChange";
  /** What happened. */
  event: ChangeEvent;
  /** The row after it; null where there is none (`DELETE`, `TRUNCATE`). */
  record: Tenant | null;
  /** The row before it, as far as the log of the database tells: the key where it is gone or has another one, the whole row under `REPLICA IDENTITY FULL`, else null. */
  old: TenantOld | null;
  /** The change's place among all others. */
  cursor: string;
}

/** What is known of a row of `tenants` before a change. */
export interface TenantOld {
  __typename?: "TenantOld";
  id: string | null;
}

/** A change of `values`. */
export interface ValueChange {
  __typename?: "ValueChange";
  /** What happened. */
  event: ChangeEvent;
  /** The row after it; null where there is none (`DELETE`, `TRUNCATE`). */
  record: Value | null;
  /** The row before it, as far as the log of the database tells: the key where it is gone or has another one, the whole row under `REPLICA IDENTITY FULL`, else null. */
  old: ValueOld | null;
  /** The change's place among all others. */
  cursor: string;
}

/** What is known of a row of `values` before a change. */
export interface ValueOld {
  __typename?: "ValueOld";
  id: string | null;
  bytes: Bytea | null;
  json: JSON | null;
  jsonb: JSON | null;
  xml: XML | null;
  point: Point | null;
  inet: Inet | null;
  time: LocalTime | null;
  timetz: Time | null;
  stamp: LocalDateTime | null;
  zoned: DateTime | null;
  span: Interval | null;
  range: Int4range | null;
  path: Ltree | null;
  flags: (boolean | null)[] | null;
  numbers: (number | null)[] | null;
  states: (OrderStatus | null)[] | null;
  documents: (JSON | null)[] | null;
}

export interface ActivePerson {
  __typename?: "ActivePerson";
  id: string | null;
  name: string | null;
}

/** What a row of `ActivePerson` must be like: all that is written here. */
export interface ActivePersonFilter {
  id?: IDFilter | null;
  name?: StringFilter | null;
  and?: ActivePersonFilter[] | null;
  or?: ActivePersonFilter[] | null;
  not?: ActivePersonFilter | null;
}

/** One field in each object; the first object orders first. */
export interface ActivePersonOrder {
  id?: OrderDirection | null;
  name?: OrderDirection | null;
}

export interface ActivePersonAggregate {
  __typename?: "ActivePersonAggregate";
  /** How many rows. */
  count: number;
  min: ActivePersonMin | null;
  max: ActivePersonMax | null;
}

export interface ActivePersonMin {
  __typename?: "ActivePersonMin";
  name: string | null;
}

export interface ActivePersonMax {
  __typename?: "ActivePersonMax";
  name: string | null;
}

export interface Address {
  __typename?: "Address";
  street: string | null;
  zipCode: string | null;
  lines: (string | null)[] | null;
}

export interface Measurement {
  __typename?: "Measurement";
  small: number | null;
  whole: number | null;
  big: BigInt | null;
  exact: BigDecimal | null;
  single: number | null;
}

/** What a row of `Measurement` must be like: all that is written here. */
export interface MeasurementFilter {
  small?: IntFilter | null;
  whole?: IntFilter | null;
  big?: BigIntFilter | null;
  exact?: BigDecimalFilter | null;
  single?: FloatFilter | null;
  and?: MeasurementFilter[] | null;
  or?: MeasurementFilter[] | null;
  not?: MeasurementFilter | null;
}

/** One field in each object; the first object orders first. */
export interface MeasurementOrder {
  small?: OrderDirection | null;
  whole?: OrderDirection | null;
  big?: OrderDirection | null;
  exact?: OrderDirection | null;
  single?: OrderDirection | null;
}

export interface MeasurementAggregate {
  __typename?: "MeasurementAggregate";
  /** How many rows. */
  count: number;
  sum: MeasurementSum | null;
  avg: MeasurementAvg | null;
  min: MeasurementMin | null;
  max: MeasurementMax | null;
}

export interface MeasurementSum {
  __typename?: "MeasurementSum";
  small: BigInt | null;
  whole: BigInt | null;
  big: BigDecimal | null;
  exact: BigDecimal | null;
  single: number | null;
}

export interface MeasurementAvg {
  __typename?: "MeasurementAvg";
  small: BigDecimal | null;
  whole: BigDecimal | null;
  big: BigDecimal | null;
  exact: BigDecimal | null;
  single: number | null;
}

export interface MeasurementMin {
  __typename?: "MeasurementMin";
  small: number | null;
  whole: number | null;
  big: BigInt | null;
  exact: BigDecimal | null;
  single: number | null;
}

export interface MeasurementMax {
  __typename?: "MeasurementMax";
  small: number | null;
  whole: number | null;
  big: BigInt | null;
  exact: BigDecimal | null;
  single: number | null;
}

export interface News {
  __typename?: "News";
  id: string;
  authorId: string;
  headline: string;
  author: Person;
}

/** What a row of `News` must be like: all that is written here. */
export interface NewsFilter {
  id?: IDFilter | null;
  authorId?: IDFilter | null;
  headline?: StringFilter | null;
  author?: PersonFilter | null;
  and?: NewsFilter[] | null;
  or?: NewsFilter[] | null;
  not?: NewsFilter | null;
}

/** One field in each object; the first object orders first. */
export interface NewsOrder {
  id?: OrderDirection | null;
  authorId?: OrderDirection | null;
  headline?: OrderDirection | null;
}

export interface NewsAggregate {
  __typename?: "NewsAggregate";
  /** How many rows. */
  count: number;
  min: NewsMin | null;
  max: NewsMax | null;
}

export interface NewsMin {
  __typename?: "NewsMin";
  headline: string | null;
}

export interface NewsMax {
  __typename?: "NewsMax";
  headline: string | null;
}

export interface OrderLine {
  __typename?: "OrderLine";
  id: string;
  tenantId: string;
  orderNumber: string;
  or_: string | null;
  grEInCm: number | null;
  order: Order;
}

/** What a row of `OrderLine` must be like: all that is written here. */
export interface OrderLineFilter {
  id?: IDFilter | null;
  tenantId?: IDFilter | null;
  orderNumber?: IDFilter | null;
  or_?: StringFilter | null;
  grEInCm?: FloatFilter | null;
  order?: OrderFilter | null;
  and?: OrderLineFilter[] | null;
  or?: OrderLineFilter[] | null;
  not?: OrderLineFilter | null;
}

/** One field in each object; the first object orders first. */
export interface OrderLineOrder {
  id?: OrderDirection | null;
  tenantId?: OrderDirection | null;
  orderNumber?: OrderDirection | null;
  or_?: OrderDirection | null;
  grEInCm?: OrderDirection | null;
}

export interface OrderLineAggregate {
  __typename?: "OrderLineAggregate";
  /** How many rows. */
  count: number;
  sum: OrderLineSum | null;
  avg: OrderLineAvg | null;
  min: OrderLineMin | null;
  max: OrderLineMax | null;
}

export interface OrderLineSum {
  __typename?: "OrderLineSum";
  grEInCm: number | null;
}

export interface OrderLineAvg {
  __typename?: "OrderLineAvg";
  grEInCm: number | null;
}

export interface OrderLineMin {
  __typename?: "OrderLineMin";
  or_: string | null;
  grEInCm: number | null;
}

export interface OrderLineMax {
  __typename?: "OrderLineMax";
  or_: string | null;
  grEInCm: number | null;
}

export interface Order {
  __typename?: "Order";
  tenantId: string;
  number: string;
  status: OrderStatus;
  buyer: string | null;
  personByBuyer: Person | null;
  tenant: Tenant;
  orderLines: OrderLine[];
  orderLinesAggregate: OrderLineAggregate;
}

/** What a row of `Order` must be like: all that is written here. */
export interface OrderFilter {
  tenantId?: IDFilter | null;
  number?: IDFilter | null;
  status?: OrderStatusFilter | null;
  buyer?: IDFilter | null;
  personByBuyer?: PersonFilter | null;
  tenant?: TenantFilter | null;
  /** Some of these rows match. */
  orderLines?: OrderLineFilter | null;
  and?: OrderFilter[] | null;
  or?: OrderFilter[] | null;
  not?: OrderFilter | null;
}

/** One field in each object; the first object orders first. */
export interface OrderOrder {
  tenantId?: OrderDirection | null;
  number?: OrderDirection | null;
  status?: OrderDirection | null;
  buyer?: OrderDirection | null;
}

export interface OrderAggregate {
  __typename?: "OrderAggregate";
  /** How many rows. */
  count: number;
  min: OrderMin | null;
  max: OrderMax | null;
}

export interface OrderMin {
  __typename?: "OrderMin";
  status: OrderStatus | null;
}

export interface OrderMax {
  __typename?: "OrderMax";
  status: OrderStatus | null;
}

/**
 * Whoever works "here".
 *
 * \ and """ and *\/ stay in place.
 */
export interface Person {
  __typename?: "Person";
  id: string;
  /** As it is written. */
  name: string;
  email: string;
  address: Address | null;
  oldAddresses: (Address | null)[] | null;
  managerId: string | null;
  /** Ends with a "quote" */
  born: Date | null;
  active: boolean;
  manager: Person | null;
  news: News[];
  orders: Order[];
  peopleByManager: Person[];
  fullName: string | null;
  reports: Person[];
  newsAggregate: NewsAggregate;
  ordersAggregate: OrderAggregate;
  peopleByManagerAggregate: PersonAggregate;
}

/** What a row of `Person` must be like: all that is written here. */
export interface PersonFilter {
  id?: IDFilter | null;
  name?: StringFilter | null;
  email?: StringFilter | null;
  managerId?: IDFilter | null;
  born?: DateFilter | null;
  active?: BooleanFilter | null;
  manager?: PersonFilter | null;
  /** Some of these rows match. */
  news?: NewsFilter | null;
  /** Some of these rows match. */
  orders?: OrderFilter | null;
  /** Some of these rows match. */
  peopleByManager?: PersonFilter | null;
  and?: PersonFilter[] | null;
  or?: PersonFilter[] | null;
  not?: PersonFilter | null;
}

/** One field in each object; the first object orders first. */
export interface PersonOrder {
  id?: OrderDirection | null;
  name?: OrderDirection | null;
  email?: OrderDirection | null;
  managerId?: OrderDirection | null;
  born?: OrderDirection | null;
  active?: OrderDirection | null;
}

export interface PersonAggregate {
  __typename?: "PersonAggregate";
  /** How many rows. */
  count: number;
  min: PersonMin | null;
  max: PersonMax | null;
}

export interface PersonMin {
  __typename?: "PersonMin";
  name: string | null;
  email: string | null;
  born: Date | null;
}

export interface PersonMax {
  __typename?: "PersonMax";
  name: string | null;
  email: string | null;
  born: Date | null;
}

export interface Tenant {
  __typename?: "Tenant";
  id: string;
  orders: Order[];
  ordersAggregate: OrderAggregate;
}

/** What a row of `Tenant` must be like: all that is written here. */
export interface TenantFilter {
  id?: IDFilter | null;
  /** Some of these rows match. */
  orders?: OrderFilter | null;
  and?: TenantFilter[] | null;
  or?: TenantFilter[] | null;
  not?: TenantFilter | null;
}

/** One field in each object; the first object orders first. */
export interface TenantOrder {
  id?: OrderDirection | null;
}

export interface TenantAggregate {
  __typename?: "TenantAggregate";
  /** How many rows. */
  count: number;
}

export interface Value {
  __typename?: "Value";
  id: string;
  bytes: Bytea | null;
  json: JSON | null;
  jsonb: JSON | null;
  xml: XML | null;
  point: Point | null;
  inet: Inet | null;
  time: LocalTime | null;
  timetz: Time | null;
  stamp: LocalDateTime | null;
  zoned: DateTime;
  span: Interval | null;
  range: Int4range | null;
  path: Ltree | null;
  flags: (boolean | null)[] | null;
  numbers: (number | null)[];
  states: (OrderStatus | null)[] | null;
  documents: (JSON | null)[] | null;
}

/** What a row of `Value` must be like: all that is written here. */
export interface ValueFilter {
  id?: IDFilter | null;
  bytes?: ByteaFilter | null;
  json?: JSONFilter | null;
  jsonb?: JSONFilter | null;
  xml?: XMLFilter | null;
  point?: PointFilter | null;
  inet?: InetFilter | null;
  time?: LocalTimeFilter | null;
  timetz?: TimeFilter | null;
  stamp?: LocalDateTimeFilter | null;
  zoned?: DateTimeFilter | null;
  span?: IntervalFilter | null;
  range?: Int4rangeFilter | null;
  path?: LtreeFilter | null;
  flags?: BooleanListFilter | null;
  numbers?: IntListFilter | null;
  states?: OrderStatusListFilter | null;
  documents?: JSONListFilter | null;
  and?: ValueFilter[] | null;
  or?: ValueFilter[] | null;
  not?: ValueFilter | null;
}

/** One field in each object; the first object orders first. */
export interface ValueOrder {
  id?: OrderDirection | null;
  bytes?: OrderDirection | null;
  inet?: OrderDirection | null;
  time?: OrderDirection | null;
  timetz?: OrderDirection | null;
  stamp?: OrderDirection | null;
  zoned?: OrderDirection | null;
  span?: OrderDirection | null;
  range?: OrderDirection | null;
  path?: OrderDirection | null;
}

export interface ValueAggregate {
  __typename?: "ValueAggregate";
  /** How many rows. */
  count: number;
  min: ValueMin | null;
  max: ValueMax | null;
}

export interface ValueMin {
  __typename?: "ValueMin";
  time: LocalTime | null;
  timetz: Time | null;
  stamp: LocalDateTime | null;
  zoned: DateTime | null;
  span: Interval | null;
}

export interface ValueMax {
  __typename?: "ValueMax";
  time: LocalTime | null;
  timetz: Time | null;
  stamp: LocalDateTime | null;
  zoned: DateTime | null;
  span: Interval | null;
}

export interface HireInput {
  names: (string | null)[];
}

export interface PlaceOrderInput {
  tenantId: string;
  numbers: (number | null)[];
  note?: string | null;
}

export type OrderStatus = "new" | "in_progress2" | "in_progress" | "_2nd_try" | "true_" | "_done";

/** A decimal number with all its digits, as a string; also `NaN` and `Infinity`. */
export type BigDecimal = string;

/** A whole number of up to 64 bits, as a string of its digits: JSON readers round numbers. */
export type BigInt = string;

/** A value of the PostgreSQL type of this name, as its text. */
export type Bytea = string;

/** A date, such as `2024-05-01`. */
export type Date = string;

/** A moment, such as `2024-05-01T12:30:00.123456+00:00`. */
export type DateTime = string;

/** A value of the PostgreSQL type of this name, as its text. */
export type Inet = string;

/** A value of the PostgreSQL type of this name, as its text. */
export type Int4range = string;

/** A span of time as PostgreSQL writes it, such as `1 day 02:30:00`. */
export type Interval = string;

/** Any JSON value. */
export type JSON = unknown;

/** A date and time without zone, such as `2024-05-01T12:30:00.123456`. */
export type LocalDateTime = string;

/** A time of day without zone, such as `12:30:00.123456`. */
export type LocalTime = string;

/** A value of the PostgreSQL type of this name, as its text. */
export type Ltree = string;

/** A value of the PostgreSQL type of this name, as its text. */
export type Point = string;

/** A time of day with its zone, such as `12:30:00.123456+02`. */
export type Time = string;

/** A value of the PostgreSQL type of this name, as its text. */
export type XML = string;

/** Which rows come first. Without a word on nulls they come last in `ASC`, first in `DESC`. */
export type OrderDirection = "ASC" | "ASC_NULLS_FIRST" | "ASC_NULLS_LAST" | "DESC" | "DESC_NULLS_FIRST" | "DESC_NULLS_LAST";

export interface BigDecimalFilter {
  eq?: BigDecimal | null;
  neq?: BigDecimal | null;
  gt?: BigDecimal | null;
  gte?: BigDecimal | null;
  lt?: BigDecimal | null;
  lte?: BigDecimal | null;
  in?: BigDecimal[] | null;
  is?: Is | null;
}

export interface BigIntFilter {
  eq?: BigInt | null;
  neq?: BigInt | null;
  gt?: BigInt | null;
  gte?: BigInt | null;
  lt?: BigInt | null;
  lte?: BigInt | null;
  in?: BigInt[] | null;
  is?: Is | null;
}

export interface BooleanFilter {
  eq?: boolean | null;
  neq?: boolean | null;
  is?: Is | null;
}

export interface BooleanListFilter {
  eq?: boolean[] | null;
  neq?: boolean[] | null;
  contains?: boolean[] | null;
  is?: Is | null;
}

export interface ByteaFilter {
  eq?: Bytea | null;
  neq?: Bytea | null;
  gt?: Bytea | null;
  gte?: Bytea | null;
  lt?: Bytea | null;
  lte?: Bytea | null;
  in?: Bytea[] | null;
  is?: Is | null;
}

export interface DateFilter {
  eq?: Date | null;
  neq?: Date | null;
  gt?: Date | null;
  gte?: Date | null;
  lt?: Date | null;
  lte?: Date | null;
  in?: Date[] | null;
  is?: Is | null;
}

export interface DateTimeFilter {
  eq?: DateTime | null;
  neq?: DateTime | null;
  gt?: DateTime | null;
  gte?: DateTime | null;
  lt?: DateTime | null;
  lte?: DateTime | null;
  in?: DateTime[] | null;
  is?: Is | null;
}

export interface FloatFilter {
  eq?: number | null;
  neq?: number | null;
  gt?: number | null;
  gte?: number | null;
  lt?: number | null;
  lte?: number | null;
  in?: number[] | null;
  is?: Is | null;
}

export interface IDFilter {
  eq?: string | null;
  neq?: string | null;
  gt?: string | null;
  gte?: string | null;
  lt?: string | null;
  lte?: string | null;
  in?: string[] | null;
  is?: Is | null;
}

export interface InetFilter {
  eq?: Inet | null;
  neq?: Inet | null;
  gt?: Inet | null;
  gte?: Inet | null;
  lt?: Inet | null;
  lte?: Inet | null;
  in?: Inet[] | null;
  is?: Is | null;
}

export interface Int4rangeFilter {
  eq?: Int4range | null;
  neq?: Int4range | null;
  gt?: Int4range | null;
  gte?: Int4range | null;
  lt?: Int4range | null;
  lte?: Int4range | null;
  in?: Int4range[] | null;
  is?: Is | null;
}

export interface IntFilter {
  eq?: number | null;
  neq?: number | null;
  gt?: number | null;
  gte?: number | null;
  lt?: number | null;
  lte?: number | null;
  in?: number[] | null;
  is?: Is | null;
}

export interface IntListFilter {
  eq?: number[] | null;
  neq?: number[] | null;
  contains?: number[] | null;
  is?: Is | null;
}

export interface IntervalFilter {
  eq?: Interval | null;
  neq?: Interval | null;
  gt?: Interval | null;
  gte?: Interval | null;
  lt?: Interval | null;
  lte?: Interval | null;
  in?: Interval[] | null;
  is?: Is | null;
}

export interface JSONFilter {
  is?: Is | null;
}

export interface JSONListFilter {
  is?: Is | null;
}

export interface LocalDateTimeFilter {
  eq?: LocalDateTime | null;
  neq?: LocalDateTime | null;
  gt?: LocalDateTime | null;
  gte?: LocalDateTime | null;
  lt?: LocalDateTime | null;
  lte?: LocalDateTime | null;
  in?: LocalDateTime[] | null;
  is?: Is | null;
}

export interface LocalTimeFilter {
  eq?: LocalTime | null;
  neq?: LocalTime | null;
  gt?: LocalTime | null;
  gte?: LocalTime | null;
  lt?: LocalTime | null;
  lte?: LocalTime | null;
  in?: LocalTime[] | null;
  is?: Is | null;
}

export interface LtreeFilter {
  eq?: Ltree | null;
  neq?: Ltree | null;
  gt?: Ltree | null;
  gte?: Ltree | null;
  lt?: Ltree | null;
  lte?: Ltree | null;
  in?: Ltree[] | null;
  is?: Is | null;
}

export interface OrderStatusFilter {
  eq?: OrderStatus | null;
  neq?: OrderStatus | null;
  gt?: OrderStatus | null;
  gte?: OrderStatus | null;
  lt?: OrderStatus | null;
  lte?: OrderStatus | null;
  in?: OrderStatus[] | null;
  is?: Is | null;
}

export interface OrderStatusListFilter {
  eq?: OrderStatus[] | null;
  neq?: OrderStatus[] | null;
  contains?: OrderStatus[] | null;
  is?: Is | null;
}

export interface PointFilter {
  is?: Is | null;
}

export interface StringFilter {
  eq?: string | null;
  neq?: string | null;
  gt?: string | null;
  gte?: string | null;
  lt?: string | null;
  lte?: string | null;
  in?: string[] | null;
  like?: string | null;
  ilike?: string | null;
  startsWith?: string | null;
  regex?: string | null;
  is?: Is | null;
}

export interface TimeFilter {
  eq?: Time | null;
  neq?: Time | null;
  gt?: Time | null;
  gte?: Time | null;
  lt?: Time | null;
  lte?: Time | null;
  in?: Time[] | null;
  is?: Is | null;
}

export interface XMLFilter {
  is?: Is | null;
}

/** Whether there is a value. */
export type Is = "NULL" | "NOT_NULL";

/** What fields take, by type and field. */
export interface Arguments {
  Query: {
    news: {
      id: string;
    };
    orderLine: {
      id: string;
    };
    order: {
      tenantId: string;
      number: string;
    };
    person: {
      id: string;
    };
    tenant: {
      id: string;
    };
    value: {
      id: string;
    };
    activePeople: {
      filter?: ActivePersonFilter | null;
      orderBy?: ActivePersonOrder[] | null;
      limit?: number | null;
      offset?: number | null;
    };
    measurements: {
      filter?: MeasurementFilter | null;
      orderBy?: MeasurementOrder[] | null;
      limit?: number | null;
      offset?: number | null;
    };
    allNews: {
      filter?: NewsFilter | null;
      orderBy?: NewsOrder[] | null;
      limit?: number | null;
      offset?: number | null;
    };
    orderLines: {
      filter?: OrderLineFilter | null;
      orderBy?: OrderLineOrder[] | null;
      limit?: number | null;
      offset?: number | null;
    };
    orders: {
      filter?: OrderFilter | null;
      orderBy?: OrderOrder[] | null;
      limit?: number | null;
      offset?: number | null;
    };
    people: {
      filter?: PersonFilter | null;
      orderBy?: PersonOrder[] | null;
      limit?: number | null;
      offset?: number | null;
    };
    tenants: {
      filter?: TenantFilter | null;
      orderBy?: TenantOrder[] | null;
      limit?: number | null;
      offset?: number | null;
    };
    values: {
      filter?: ValueFilter | null;
      orderBy?: ValueOrder[] | null;
      limit?: number | null;
      offset?: number | null;
    };
    personByEmail: {
      email: string;
    };
    nextStatus: {
      status: OrderStatus;
    };
    search: {
      term: string;
      limit_?: number | null;
      filter?: PersonFilter | null;
      orderBy?: PersonOrder[] | null;
      limit?: number | null;
      offset?: number | null;
    };
    activePeopleAggregate: {
      filter?: ActivePersonFilter | null;
    };
    measurementsAggregate: {
      filter?: MeasurementFilter | null;
    };
    allNewsAggregate: {
      filter?: NewsFilter | null;
    };
    orderLinesAggregate: {
      filter?: OrderLineFilter | null;
    };
    ordersAggregate: {
      filter?: OrderFilter | null;
    };
    peopleAggregate: {
      filter?: PersonFilter | null;
    };
    tenantsAggregate: {
      filter?: TenantFilter | null;
    };
    valuesAggregate: {
      filter?: ValueFilter | null;
    };
  };
  Mutation: {
    hire: {
      input: HireInput;
    };
    placeOrder: {
      input: PlaceOrderInput;
    };
  };
  Subscription: {
    listen: {
      topic: string;
    };
    measurements: {
      filter?: MeasurementFilter | null;
      events?: ChangeEvent[] | null;
    };
    allNews: {
      filter?: NewsFilter | null;
      events?: ChangeEvent[] | null;
    };
    orderLines: {
      filter?: OrderLineFilter | null;
      events?: ChangeEvent[] | null;
    };
    orders: {
      filter?: OrderFilter | null;
      events?: ChangeEvent[] | null;
    };
    people: {
      filter?: PersonFilter | null;
      events?: ChangeEvent[] | null;
    };
    tenants: {
      filter?: TenantFilter | null;
      events?: ChangeEvent[] | null;
    };
    values: {
      filter?: ValueFilter | null;
      events?: ChangeEvent[] | null;
    };
  };
  Order: {
    orderLines: {
      filter?: OrderLineFilter | null;
      orderBy?: OrderLineOrder[] | null;
      limit?: number | null;
      offset?: number | null;
    };
    orderLinesAggregate: {
      filter?: OrderLineFilter | null;
    };
  };
  Person: {
    news: {
      filter?: NewsFilter | null;
      orderBy?: NewsOrder[] | null;
      limit?: number | null;
      offset?: number | null;
    };
    orders: {
      filter?: OrderFilter | null;
      orderBy?: OrderOrder[] | null;
      limit?: number | null;
      offset?: number | null;
    };
    peopleByManager: {
      filter?: PersonFilter | null;
      orderBy?: PersonOrder[] | null;
      limit?: number | null;
      offset?: number | null;
    };
    fullName: {
      polite?: boolean | null;
    };
    reports: {
      depth?: number | null;
      filter?: PersonFilter | null;
      orderBy?: PersonOrder[] | null;
      limit?: number | null;
      offset?: number | null;
    };
    newsAggregate: {
      filter?: NewsFilter | null;
    };
    ordersAggregate: {
      filter?: OrderFilter | null;
    };
    peopleByManagerAggregate: {
      filter?: PersonFilter | null;
    };
  };
  Tenant: {
    orders: {
      filter?: OrderFilter | null;
      orderBy?: OrderOrder[] | null;
      limit?: number | null;
      offset?: number | null;
    };
    ordersAggregate: {
      filter?: OrderFilter | null;
    };
  };
}
