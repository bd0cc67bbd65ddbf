-- Tells the node up to which moment cursors say of every firing that it was seen to: of later ones it forgets no id.
-- flags: allow-oom
-- parts: epoch
-- KEYS[1] prefix  ARGV: epoch, now_ms, the moment, as in the ids of firings: UTC, 2026-03-29T01:00:00
-- Returns OK. Errors: STALETOKEN <known> the node knows a newer leader.
local known = CALL('GET', P .. 'settled')
if not known or ARGV[3] > known then CALL('SET', P .. 'settled', ARGV[3]) end
return redis.status_reply('OK')
