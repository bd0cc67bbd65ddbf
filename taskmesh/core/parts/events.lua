-- Tells whoever listens what this script did (see `core/event.py`): nothing is made, and nothing said, while nobody does. Told at
-- once, also in a mesh of several nodes: an event is for people, and who needs to be sure asks.
local EVENTS = {}

-- The name of a task, behind the id in an envelope that nobody verified here; empty where it is not found.
local function task_in(rec)
  local at = 109 + 41
  for first = 103, 107, 2 do at = at + (tonumber(string.sub(rec, first, first + 1), 16) or 0) end
  at = at + (tonumber(string.sub(rec, 95, 102), 16) or 0)
  local many = string.byte(rec, at) or 0
  if many == 220 then at = at + 3 elseif many >= 144 and many < 160 then at = at + 1 else return '' end
  local text = ''
  for _ = 1, 2 do
    local kind, length = string.byte(rec, at) or 0, nil
    if kind >= 160 and kind < 192 then
      at, length = at + 1, kind - 160
    elseif kind == 217 then
      at, length = at + 2, string.byte(rec, at + 1) or 0
    else
      return ''
    end
    text = string.sub(rec, at, at + length - 1)
    at = at + length
  end
  return text
end

-- Both are there only while somebody listens.
local event = LISTENED and function(kind, id, rec)
  local words = {kind, string.format('%.0f', NOW), id, task_in(rec), queue_of(rec), '',
    kind ~= 'sent' and tostring(tonumber(string.sub(rec, 57, 58), 16) or '') or '', '', ''}
  for i = 1, #words do words[i] = string.gsub(words[i], '%c', '?') end
  EVENTS[#EVENTS + 1] = table.concat(words, '\t')
end

local tell_events = LISTENED and function()
  if #EVENTS > 0 then redis.call('PUBLISH', P .. 'events', table.concat(EVENTS, '\n')) end
end
