-- Where idle children are registered. One whose worker hears of work by the tickets of a broker stands apart, under its queue by
-- name: neither a hand-over nor a wake-up finds it, only a ticket of its own worker.
local function is_by_ticket(holder)
  return string.find('4567cdef', string.sub(holder, 17, 17), 1, true) ~= nil
end

-- The queues are the arguments from there on.
local function idle_no_more(holder, first)
  local by_ticket = is_by_ticket(holder)
  for i = first, #ARGV do
    if by_ticket then
      CALL('ZREM', P .. 'tidle:' .. ARGV[i], holder)
    else
      CALL('ZREM', P .. 'idle:' .. ARGV[i], holder)
      CALL('ZREM', P .. 'pidle:' .. ARGV[i], holder)
    end
  end
end
