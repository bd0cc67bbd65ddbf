-- Tells a node a view, which it obeys from now on. Only a leader does that.
-- flags: allow-oom
-- parts: forward, fence
-- KEYS[1] prefix  ARGV: the view's epoch, now_ms, token, the instance that is meant, the view, a char for each slot: '1' if
--   this node is its primary, the id that it gets if the node is none yet ('' = it must be one)
-- Returns the epoch before ('' = none). A repeat changes nothing.
-- Errors: STALEVIEW it is further, STRANGER it is another instance, or none.
local instance = CALL('HGET', P .. 'me', 'instance')
if not instance and (ARGV[6] or '') ~= '' then
  CALL('HSET', P .. 'me', 'id', ARGV[6], 'instance', ARGV[3])
  instance = ARGV[3]
end
if instance ~= ARGV[3] then return redis.error_reply('STRANGER ' .. (instance or 'none')) end
if KNOWN ~= EPOCH then
  CALL('SET', P .. 'view', ARGV[4])
  CALL('SET', P .. 'own', ARGV[5])
  CALL('SET', P .. 'epoch', EPOCH)
  -- of a promotion that was begun, and came to nothing
  CALL('UNLINK', P .. 'gathered', P .. 'promoting')
end
return KNOWN
