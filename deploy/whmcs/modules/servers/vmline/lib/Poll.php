<?php

namespace WHMCS\Module\Server\Vmline;

use WHMCS\Database\Capsule;

/**
 * Answers the client area's script: how far is my machine?
 */
final class Poll
{
    /**
     * @param int $clientId of the session; 0 for nobody
     * @return array{int,array<string,mixed>} HTTP status and body
     */
    public static function answer(int $clientId, int $serviceId): array
    {
        $owner = $clientId > 0 ? Capsule::table('tblhosting')->where('id', $serviceId)->value('userid') : null;
        if ($owner === null || (int) $owner !== $clientId) {
            return [404, ['error' => 'There is no such service.']]; // whose it is, nobody else learns
        }
        $params = ServiceParams::of($serviceId);
        if ($params === null) {
            return [404, ['error' => 'There is no such service.']];
        }
        $record = Record::find($serviceId);
        $service = [];
        if ($record !== null && $record->operation !== '') {
            try {
                $service = Gateway::at(Server::fromId($params['serverid']))->service($record->ref);
            } catch (Failure) {
                $service = Record::state($record);
            }
        }
        return [200, ClientArea::view($service, $record)];
    }
}
