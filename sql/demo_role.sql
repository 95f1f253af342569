-- The role in which GraphQL asks the example data where other machines can reach walcast: it may read everything there
-- and do what the two functions do. Superusers are refused there, since nothing binds them.

do $$
begin
    if not exists (select from pg_roles where rolname = 'web') then
        create role web nologin;
    end if;
end
$$;

grant usage on schema public to web;
grant select on users, auctions, bids, messages to web;
-- `bid` locks the auction's row, which takes the right to update one of its columns.
grant update (title) on auctions to web;
grant insert on bids, messages to web;
