-- Shared by the scripts that change an owner's numbers. KEYS[4] maps an owner to them, with spaces
-- in between, in the order in which they were handed out.
local function numbers_of(owner)
  local list = {}
  for n in string.gmatch(redis.call('HGET', KEYS[4], owner) or '', '%d+') do list[#list + 1] = n end
  return list
end

local function store(owner, list)
  if #list == 0 then redis.call('HDEL', KEYS[4], owner)
  else redis.call('HSET', KEYS[4], owner, table.concat(list, ' ')) end
end

local function without(list, n)
  local rest = {}
  for _, m in ipairs(list) do if m ~= n then rest[#rest + 1] = m end end
  return rest
end
