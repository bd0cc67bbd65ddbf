-- Steps of a promotion that clear the way come before those that gather. One that arrives once more when it is over, as what was
-- repeated for want of an answer may, would forget what has been gathered meanwhile.

-- What marks the leader whose steps these are, and since when it gathers (ms; 0: it does not).
local function gathering()
  local mark = EPOCH .. ' ' .. (CALL('GET', P .. 'leader') or '0') .. ' '
  local noted = CALL('GET', P .. 'promoting') or ''
  return mark, string.sub(noted, 1, #mark) == mark and tonumber(string.sub(noted, #mark + 1)) or 0
end

-- Note that this leader gathers, from when it asked for that.
local function begin_to_gather()
  local mark, since = gathering()
  if NOW > since then CALL('SET', P .. 'promoting', mark .. string.format('%.0f', NOW)) end
end

-- Whether this leader asked for this before it began to gather. Another one, or the same that begins anew, asks later.
local function is_late()
  local _, since = gathering()
  return since >= NOW
end
