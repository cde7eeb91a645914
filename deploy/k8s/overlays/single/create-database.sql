-- A role and its database of the same name, closed to every other role. Safe to repeat; sets the password anew.
\getenv owner OWNER
\getenv password OWNER_PASSWORD
select format('create role %I', :'owner') where not exists (select from pg_roles where rolname = :'owner') \gexec
select format('alter role %I login password %L', :'owner', :'password') \gexec
select format('create database %I owner %I', :'owner', :'owner')
 where not exists (select from pg_database where datname = :'owner') \gexec
select format('revoke all on database %I from public', :'owner') \gexec
revoke connect on database postgres, template1 from public;
