-- What was wished for a queue or a task and may not stand in its register yet.
-- flags: allow-oom
-- KEYS[1] prefix  ARGV: 'note', name, wish, kind; or 'settle', name, wish, kind: it is forgotten, unless another came after it
-- Returns 1 if that changed anything, else 0.
local key = KEYS[1] .. 'wishes' .. ARGV[4]
if ARGV[1] == 'note' then
  redis.call('HSET', key, ARGV[2], ARGV[3])
  return 1
end
if redis.call('HGET', key, ARGV[2]) ~= ARGV[3] then return 0 end
return redis.call('HDEL', key, ARGV[2])
