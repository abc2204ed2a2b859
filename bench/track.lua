-- What wrk sends to /track: arguments EVENTS (per request) and TOKEN. The bodies are made beforehand, a few
-- hundred that differ in person and values, so that the client's own work stays small and the same for every
-- server.

local bodies, turn = {}, 0

local function event(token, n)
  return string.format(
    '{"event":"Benchmark","properties":{"token":"%s","distinct_id":"user-%d","$browser":"Firefox","$os":"Linux",' ..
    '"$current_url":"https://shop.example/items/%d?ref=list","mp_lib":"web","$screen_width":1920,"$screen_height":1080,' ..
    '"plan":"%s","price":%d.%02d,"signed_in":%s}}',
    token, n % 50000, n % 997, n % 3 == 0 and "pro" or "free", n % 90, n % 100, n % 2 == 0 and "true" or "false")
end

function init(args)
  local events, token = tonumber(args[1]), args[2]
  local n = 0
  for i = 1, 500 do
    local list = {}
    for k = 1, events do
      n = n + 7919
      list[k] = event(token, n)
    end
    bodies[i] = wrk.format("POST", "/track", {["Content-Type"] = "application/json"}, "[" .. table.concat(list, ",") .. "]")
  end
end

function request()
  turn = turn % #bodies + 1
  return bodies[turn]
end
