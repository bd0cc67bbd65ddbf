-- Whether the node is so short of memory that it may soon drop outcomes before their time: it is given none back then. Less than
-- what it drops any at, so that they do not come and go.
local SHORT_SHARE = 0.65

local SHORT
local function is_short()
  if SHORT == nil then
    local info = CALL('INFO', 'memory')
    local limit = tonumber(string.match(info, 'maxmemory:(%d+)')) or 0
    SHORT = limit > 0 and (tonumber(string.match(info, 'used_memory:(%d+)')) or 0) > SHORT_SHARE * limit
  end
  return SHORT
end

-- Whether a final record, by its head, lacks an outcome that this node dropped before its time, and would take back.
local function misses_outcome(head)
  if not is_final(string.sub(head, 2, 2)) or string.sub(head, 95, 102) ~= '00000000' then return false end
  local ended, kept_s = tonumber(string.sub(head, 75, 86), 16) or 0, tonumber(string.sub(head, 87, 94), 16) or 0
  return ended + kept_s * 1000 > NOW and not is_short()
end
