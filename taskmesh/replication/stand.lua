-- Tells what a node is, as a member of a mesh of several. Anybody may ask, at any epoch.
-- flags: no-writes
-- KEYS[1] prefix
-- Returns {id, instance, run id of its server, epoch, token of the leader that it obeys, mesh id, slots}, '' for what it
--   does not have.
local P = KEYS[1]
local me = redis.call('HMGET', P .. 'me', 'id', 'instance')
local mesh = redis.call('HMGET', P .. 'meta', 'mesh_id', 'slots')
local run_id = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
return {me[1] or '', me[2] or '', run_id or '', redis.call('GET', P .. 'epoch') or '', redis.call('GET', P .. 'leader') or '',
  mesh[1] or '', mesh[2] or ''}
