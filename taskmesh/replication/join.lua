-- Makes the mesh's meta hash if there is none, and returns it with the epoch.
-- flags: allow-oom
-- KEYS[1] prefix  ARGV: mesh id if it must be made, slots, format, now_ms, key id, epoch if there is none
-- Returns {mesh id, slots, format, created_ms, key ids (comma-separated), epoch, '1' if made now}.
local P = KEYS[1]
local made = redis.call('HSETNX', P .. 'meta', 'mesh_id', ARGV[1])
if made == 1 then
  redis.call('HSET', P .. 'meta', 'slots', ARGV[2], 'format', ARGV[3], 'created_ms', ARGV[4], 'keys', ARGV[5])
end
redis.call('SETNX', P .. 'epoch', ARGV[6])
local m = redis.call('HMGET', P .. 'meta', 'mesh_id', 'slots', 'format', 'created_ms', 'keys')
return {m[1], m[2], m[3], m[4], m[5], redis.call('GET', P .. 'epoch'), tostring(made)}
