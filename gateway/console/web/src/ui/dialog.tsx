import { type ReactNode, useState } from 'react';
import { Button, Dialog, Heading, Modal, ModalOverlay } from 'react-aria-components';

/** A window over the page; Escape closes it unless `isDismissable` is false. */
export const Window = (props: {
  title: string;
  isOpen: boolean;
  onClose: () => void;
  wide?: boolean;
  isDismissable?: boolean;
  children: ReactNode;
}) => (
  <ModalOverlay
    isOpen={props.isOpen}
    onOpenChange={(open) => !open && props.onClose()}
    isDismissable={props.isDismissable ?? true}
    isKeyboardDismissDisabled={props.isDismissable === false}
  >
    <Modal className={`react-aria-Modal ${props.wide ? 'wide' : ''}`}>
      <Dialog>
        <Heading slot="title" level={2}>
          {props.title}
        </Heading>
        {props.children}
      </Dialog>
    </Modal>
  </ModalOverlay>
);

/**
 * A button that asks before it acts. `children` say what will happen; `act` returns what went wrong, or nothing, and
 * closes the window only then.
 */
export function ConfirmButton(props: {
  label: string;
  title: string;
  confirm: string;
  danger?: boolean;
  isDisabled?: boolean;
  act: () => Promise<ReactNode | undefined>;
  children: ReactNode;
}) {
  const [open, setOpen] = useState(false);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<ReactNode>();
  const act = async () => {
    setBusy(true);
    const wrong = await props.act();
    setBusy(false);
    setProblem(wrong);
    if (!wrong) setOpen(false);
  };
  const close = () => {
    setOpen(false);
    setProblem(undefined);
  };
  return (
    <>
      <Button
        className={`react-aria-Button ${props.danger ? 'danger' : ''}`}
        isDisabled={props.isDisabled}
        onPress={() => setOpen(true)}
      >
        {props.label}
      </Button>
      <Window title={props.title} isOpen={open} onClose={close}>
        {props.children}
        {problem}
        <div className="actions">
          <Button onPress={close}>Cancel</Button>
          <Button
            className={`react-aria-Button ${props.danger ? 'danger' : 'primary'}`}
            isDisabled={busy}
            onPress={act}
          >
            {props.confirm}
          </Button>
        </div>
      </Window>
    </>
  );
}
