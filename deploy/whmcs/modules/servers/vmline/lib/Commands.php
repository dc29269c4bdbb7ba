<?php

namespace WHMCS\Module\Server\Vmline;

use WHMCS\Database\Capsule;

/**
 * What WHMCS asks for. Each is one short call: accepted or not. What comes of it, the feed tells later.
 */
final class Commands
{
    public const DONE = 'success';

    /** The service that this process orders: WHMCS wants to send its welcome mail right after that. */
    private static int $creating = 0;

    /** @param array<string,mixed> $params */
    public static function create(array $params): string
    {
        return self::run(static function () use ($params): void {
            self::$creating = (int) $params['serviceid'];
            self::ref($params);
            $record = Record::open($params);
            $params = self::withPassword($params);
            $package = PackageBuilder::build($params, ['template' => ''] + self::chosen($record));
            $operation = Gateway::of($params)->put($record->ref, $package);
            self::accepted($params, $operation, self::columns($package));
        });
    }

    public static function isCreating(int $serviceId): bool
    {
        return self::$creating === $serviceId;
    }

    /** Also for configurable options; the params have the new values. */
    public static function changePackage(array $params): string
    {
        return self::run(static function () use ($params): void {
            $record = Record::open($params);
            $package = PackageBuilder::build($params, self::chosen($record));
            $operation = Gateway::of($params)->put($record->ref, $package);
            self::accepted($params, $operation, self::columns($package));
        });
    }

    /** What never was is terminated. */
    public static function terminate(array $params): string
    {
        return self::run(static function () use ($params): void {
            try {
                $operation = Gateway::of($params)->delete(self::ref($params));
            } catch (Refusal $refusal) {
                if ($refusal->type !== Refusal::NOT_FOUND) {
                    throw $refusal;
                }
                return;
            }
            self::accepted($params, $operation);
        });
    }

    public static function suspend(array $params): string
    {
        $reason = trim((string) ($params['suspendreason'] ?? ''));
        return self::act($params, 'suspend', $reason === '' ? [] : ['reason' => $reason]);
    }

    public static function unsuspend(array $params): string
    {
        return self::act($params, 'unsuspend');
    }

    public static function changePassword(array $params): string
    {
        return self::act($params, 'change_password', ['password' => self::password($params)]);
    }

    /** A button of the admin area, with what the admin entered for it on the services tab. */
    public static function button(array $params, string $verb): string
    {
        return self::run(static function () use ($params, $verb): void {
            $entered = Record::options(Record::find((int) $params['serviceid']));
            $options = array_filter(array_intersect_key($entered, array_flip(Buttons::options($verb))));
            if (isset($options['vmid'])) {
                $options['vmid'] = (int) $options['vmid'];
            }
            self::send($params, $verb, $options);
            if ($options !== []) {
                Record::change((int) $params['serviceid'], ['options' => null]);
            }
        });
    }

    /**
     * Runs a command and puts its failure into words: WHMCS shows any text but "success" to staff.
     *
     * @param \Closure():void $command
     */
    public static function run(\Closure $command): string
    {
        try {
            $command();
            return self::DONE;
        } catch (Failure $failure) {
            return $failure->getMessage();
        } catch (\Throwable $error) {
            Log::thrown($error);
            return 'The module could not do this: ' . $error::class . '. The activity log says where.';
        }
    }

    public static function ref(array $params): string
    {
        if (!empty($params['addonId'])) {
            throw new Failure('A machine is a product of its own; this module does not serve product addons.');
        }
        return Reference::of((int) $params['serviceid']);
    }

    /** @return array{name:string,username:string,template:string,ptr_name:string} */
    public static function chosen(object $record): array
    {
        return ['name' => $record->name, 'username' => $record->username, 'template' => $record->template, 'ptr_name' => $record->ptr_name];
    }

    /** The service's password as it was typed: WHMCS keeps it with entities. */
    public static function password(array $params): string
    {
        return html_entity_decode((string) ($params['password'] ?? ''), ENT_QUOTES);
    }

    private static function act(array $params, string $verb, array $options = []): string
    {
        return self::run(static fn () => self::send($params, $verb, $options));
    }

    /**
     * Sends an action and notes that it was accepted.
     *
     * @param array<string,mixed> $options what goes with it
     * @throws Failure when it was not
     */
    public static function send(array $params, string $verb, array $options): void
    {
        $ref = self::ref($params);
        $action = ['type' => $verb];
        $more = isset($options['template']) ? ['template' => $options['template']] : [];
        if ($verb === 'adopt') {
            $action['package'] = PackageBuilder::build($params, self::chosen(Record::open($params)));
            $more = self::columns($action['package']);
        }
        if ($verb === 'reinstall' && self::password($params) !== '') {
            $options['password'] = self::password($params); // it may have been changed since the machine was made
        }
        if ($options !== []) {
            $action['params'] = $options;
        }
        self::accepted($params, Gateway::of($params)->act($ref, $action), $more);
    }

    /** A service without a password gets one, kept by WHMCS before it is used. */
    private static function withPassword(array $params): array
    {
        if (trim((string) ($params['password'] ?? '')) === '') {
            $params['password'] = bin2hex(random_bytes(10));
            Capsule::table('tblhosting')->where('id', (int) $params['serviceid'])
                ->update(['password' => \encrypt($params['password'])]);
        }
        return $params;
    }

    /** @return array<string,string> what the feed will need once the machine is ready */
    private static function columns(array $package): array
    {
        $domain = (string) ($package['dns']['domain'] ?? '');
        return [
            'name' => $package['name'],
            'username' => $package['cloud_init']['user'],
            'template' => (string) ($package['template'] ?? ''),
            'domain' => $package['name'] . ($domain === '' ? '' : ".$domain"),
        ];
    }

    private static function accepted(array $params, array $operation, array $more = []): void
    {
        Record::accepted((int) $params['serviceid'], (int) ($params['serverid'] ?? 0), $operation, $more);
    }
}
