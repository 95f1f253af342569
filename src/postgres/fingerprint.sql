-- A text that changes whenever introspection.sql may answer otherwise, or a query may without a row having changed, and one
-- that changes whenever the publication does. A DDL
-- statement writes a new version of the rows that it concerns, GRANT and COMMENT ON too; of pg_class and pg_index, whose rows
-- TRUNCATE, VACUUM FULL and REINDEX write as well, the columns count that say something.
-- $1: the exposed schemas. $2: the publication.
with recursive readers (oid) as (
  select r.oid from pg_roles r
  where r.rolname = current_user
    or r.oid in (select v.relowner from pg_class v where v.relkind = 'v')
    or r.oid in (select p.proowner from pg_proc p where p.prosecdef)
),
held (oid) as (
  select oid from readers
  union
  select m.roleid from held join pg_auth_members m on m.member = held.oid
),
exposed as (
  select n.oid from pg_namespace n where n.nspname = any ($1)
),
declarations (text) as (
  select string_agg(d.description || ' ' || lower(d.description), ' ')
  from pg_description d
  -- FirstNormalObjectId of access/transam.h
  where d.objoid >= 16384 and d.classoid = 'pg_proc'::regclass and d.description ~ '@walcast\s+depends_on'
),
-- What is exposed, what views, functions and policies name, and what inherits from these.
relations (oid) as (
  select c.oid from pg_class c left join declarations d on true
  where c.relkind = 'c' or c.relkind in ('r', 'p', 'v', 'm', 'f') and c.relpersistence <> 't' and (
    c.relnamespace in (select oid from exposed)
    or c.oid in (
      select d.refobjid from pg_depend d
      where d.refclassid = 'pg_class'::regclass
        and d.classid in ('pg_rewrite'::regclass, 'pg_proc'::regclass, 'pg_policy'::regclass)
    )
    or c.oid >= 16384 and position(replace(c.relname, '"', '""') in d.text) > 0
  )
  union
  select i.inhrelid from relations r join pg_inherits i on i.inhparent = r.oid
),
publication as (
  select p.oid, p.pubname, p.pubviaroot, p.xmin from pg_publication p where p.pubname = $2
),
versions (class, object, part, version) as (
  select 1, n.oid, 0, n.xmin::text::int8 from pg_namespace n
  where n.oid in (select oid from exposed)
    or n.oid in (select c.relnamespace from pg_class c join relations r on r.oid = c.oid where c.relkind <> 'c')
  union all
  select 2, c.oid, 0, hashtextextended(row(
    c.relname, c.relnamespace, c.reltype, c.relowner, c.relkind, c.relpersistence, c.relispartition, c.relrowsecurity,
    c.relforcerowsecurity, c.relacl,
    case when c.relkind = 'v' then c.reloptions end,
    -- Where the whole is published, a TRUNCATE of a part alone is not told (PostgreSQL manual, CREATE PUBLICATION).
    case when c.relispartition and exists (select from publication where pubviaroot) then c.relfilenode end
  )::text, 0)
  from pg_class c join relations r on r.oid = c.oid
  union all
  select 3, a.attrelid, a.attnum, a.xmin::text::int8
  from pg_attribute a join relations r on r.oid = a.attrelid where a.attnum > 0
  union all
  -- Others than unique ones are for speed.
  select 4, i.indrelid, 0, hashtextextended(row(
    i.indisprimary, i.indimmediate, i.indisvalid, i.indisexclusion, i.indnkeyatts, i.indkey, i.indpred is null,
    i.indexprs is null
  )::text, 0)
  from pg_index i join relations r on r.oid = i.indrelid where i.indisunique
  union all
  select 5, k.oid, 0, k.xmin::text::int8 from pg_constraint k join relations r on r.oid = k.conrelid
  union all
  select 6, w.oid, 0, w.xmin::text::int8 from pg_rewrite w join relations r on r.oid = w.ev_class
  union all
  -- A function elsewhere may be what another calls.
  select 7, p.oid, 0, p.xmin::text::int8 from pg_proc p where p.pronamespace <> 'pg_catalog'::regnamespace
  union all
  select 8, t.oid, 0, t.xmin::text::int8 from pg_type t
  where t.typtype in ('d', 'e', 'r') or t.typnamespace in (select oid from exposed)
  union all
  select 9, l.oid, 0, l.xmin::text::int8 from pg_enum l
  union all
  select 10, d.objoid, d.objsubid, d.xmin::text::int8 from pg_description d
  -- Postgres' own objects have smaller numbers, but for the schema public.
  where d.objoid >= 16384
  union all
  select 11, m.roleid, m.member::int8, m.xmin::text::int8 from pg_auth_members m join held on held.oid = m.member
  union all
  select 12, r.oid, 0, hashtextextended(row(r.rolsuper, r.rolbypassrls, r.rolinherit)::text, 0)
  from pg_roles r join held on held.oid = r.oid
  union all
  select 13, p.oid, 0, p.xmin::text::int8 from pg_policy p join relations r on r.oid = p.polrelid
  union all
  select 14, i.inhrelid, i.inhseqno, i.xmin::text::int8 from pg_inherits i join relations r on r.oid = i.inhparent
  union all
  select 15, p.oid, 0, p.xmin::text::int8 from publication p
  union all
  select 16, t.relid, 0, hashtextextended(t::text, 0)
  from publication p cross join lateral pg_get_publication_tables(p.pubname) t
)
select concat_ws(' ', r.oid, v.count, v.sum), concat_ws(' ', v.published, v.publication)
from pg_roles r, (
  select count(*), sum(h.number), count(*) filter (where h.class >= 15) as published,
    sum(h.number) filter (where h.class >= 15) as publication
  from (
    select class, hashint8extended((object::int8 << 32) # version, (class::int8 << 32) # part) as number from versions
  ) h
) v
where r.rolname = current_user
